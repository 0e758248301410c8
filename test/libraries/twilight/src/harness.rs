//! What the bot of a Rust library needs: the configuration, the control of the
//! sandbox, and events that a step waits for.
use serde_json::{json, Value};
use std::{error::Error, future::Future, sync::Mutex, time::Duration};
use tokio::{io::AsyncReadExt, io::AsyncWriteExt, net::TcpStream, task::JoinSet, time::sleep};
use twilight_model::id::Id;

pub type Res<T> = Result<T, Box<dyn Error + Send + Sync>>;

const PAUSE: Duration = Duration::from_millis(20);
/// How often a condition is asked for, with pauses between: a minute.
const TRIES: usize = 3000;

pub fn passed(step: &str) {
    println!("passed {step}");
}

pub struct Harness {
    config: Value,
    heard: Mutex<Vec<String>>,
}

impl Harness {
    pub fn new() -> Res<Self> {
        Ok(Self { config: serde_json::from_str(&std::env::var("LIBRARY")?)?, heard: Mutex::default() })
    }

    pub fn text(&self, key: &str) -> &str {
        self.config[key].as_str().unwrap()
    }

    pub fn id<T>(&self, key: &str) -> Id<T> {
        Id::new(self.text(key).parse().unwrap())
    }

    /// Controls the sandbox, as the people who use the bot would act in Discord.
    async fn control(&self, method: &str, path: &str, body: Value) -> Res<Value> {
        let (host, prefix) = self.text("control").trim_start_matches("http://").split_once('/').ok_or("no path")?;
        let body = body.to_string();
        let mut stream = TcpStream::connect(host).await?;
        let head = format!("{method} /{prefix}{path} HTTP/1.0\r\nHost: {host}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(head.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("no body")?;
        match head.split(' ').nth(1) {
            Some(status) if status.starts_with('2') => Ok(if body.is_empty() { Value::Null } else { serde_json::from_str(body)? }),
            _ => Err(body.into()),
        }
    }

    fn general(&self, path: &str) -> String {
        format!("channels/{}/{path}", self.text("general"))
    }

    /// Has a person write a message.
    pub async fn say(&self, content: &str) -> Res<Value> {
        self.control("POST", &self.general("messages"), json!({"content": content, "author": {"id": self.text("bob")}})).await
    }

    async fn act(&self, what: Value) -> Res<Value> {
        self.control("POST", &self.general("interactions"), what).await
    }

    /// Notes an event.
    pub fn hear(&self, event: String) {
        self.heard.lock().unwrap().push(event);
    }

    /// Waits for an event.
    pub async fn hears(&self, event: &str) -> Res<()> {
        for _ in 0..TRIES {
            {
                let mut heard = self.heard.lock().unwrap();
                if let Some(i) = heard.iter().position(|e| e == event) {
                    heard.drain(..=i);
                    return Ok(());
                }
            }
            sleep(PAUSE).await;
        }
        Err(format!("{event} was not heard").into())
    }

    async fn answered(&self, content: &str) -> Res<()> {
        for _ in 0..TRIES {
            let messages = self.control("GET", &self.general("messages"), Value::Null).await?;
            if messages.as_array().and_then(|m| m.last()).is_some_and(|m| m["content"] == content) {
                return Ok(());
            }
            sleep(PAUSE).await;
        }
        Err(format!("{content} is not there").into())
    }

    /// Uses the command of the bot, its button, its modal and its select.
    pub async fn interact(&self) -> Res<()> {
        self.act(json!({"name": "hello", "options": [{"name": "who", "type": 3, "value": "you"}]})).await?;
        self.answered("hello you").await?;
        passed("command");
        self.act(json!({"custom_id": "button"})).await?;
        // Until the bot has opened the modal, there is none to submit.
        for tries in 1.. {
            match self.act(json!({"custom_id": "form", "fields": {"why": "because"}})).await {
                Ok(_) => break,
                Err(error) if tries == TRIES => return Err(error),
                Err(_) => sleep(PAUSE).await,
            }
        }
        self.answered("why: because").await?;
        passed("button");
        passed("modal");
        self.act(json!({"custom_id": "select", "values": ["b"]})).await?;
        self.answered("picked b").await?;
        passed("select");
        Ok(())
    }

    /// Cuts the bot's connection while somebody writes.
    pub async fn resume(&self) -> Res<()> {
        self.control("POST", "gateway/drop", json!({})).await?;
        self.say("while you were away").await?;
        self.hears("message while you were away").await?;
        let counts = self.control("GET", "gateway", Value::Null).await?["counts"].clone();
        assert!(counts["resumes"].as_u64() >= Some(1) && counts["identifies"] == 1, "{counts}");
        passed("resume");
        Ok(())
    }

    /// Fills a channel with 120 messages.
    pub async fn fill(&self) -> Res<Value> {
        self.control("POST", "gateway/burst", json!({"count": 120, "message": {"channel_id": self.text("quiet"), "content": "old"}})).await
    }

    /// Sends ten messages to each of six channels.
    pub async fn in_order<T, F>(&self, send: impl Fn(Id<T>, String) -> F + Clone + Send + 'static) -> Res<()>
    where
        T: Send + 'static,
        F: Future<Output = Res<()>> + Send,
    {
        let mut sending = JoinSet::new();
        for channel in self.config["channels"].as_array().unwrap() {
            let (send, channel) = (send.clone(), channel.as_str().unwrap().parse()?);
            sending.spawn(async move {
                for i in 0..10 {
                    send(Id::new(channel), format!("number {i}")).await?;
                }
                Res::Ok(())
            });
        }
        while let Some(sent) = sending.join_next().await {
            sent??;
        }
        passed("order");
        Ok(())
    }
}
