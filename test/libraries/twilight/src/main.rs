//! A bot of the library twilight.
mod harness;

use harness::{passed, Harness, Res};
use serde_json::{json, Value};
use std::sync::Arc;
use twilight_gateway::{ConfigBuilder, Event, EventTypeFlags, Intents, Shard, ShardId, StreamExt as _};
use twilight_http::{request::channel::reaction::RequestReactionType, Client};
use twilight_model::{
    application::{command::{Command, CommandOption, CommandOptionType, CommandType}, interaction::{Interaction, InteractionData}},
    channel::message::{component::Component, Embed},
    http::{attachment::Attachment, interaction::*},
    id::{marker::*, Id},
};

struct Bot {
    http: Client,
    harness: Harness,
}

impl Bot {
    async fn answer(&self, i: Interaction) -> Res<()> {
        let client = self.http.interaction(i.application_id);
        let row = |component: Value| json!({"type": 1, "components": [component]});
        let rows = |rows: Vec<Value>| -> Vec<Component> { rows.into_iter().map(|r| serde_json::from_value(r).unwrap()).collect() };
        let defer = InteractionResponse { kind: InteractionResponseType::DeferredChannelMessageWithSource, data: None };
        match i.data {
            Some(InteractionData::ApplicationCommand(data)) => {
                client.create_response(i.id, &i.token, &defer).await?;
                let who = serde_json::to_value(&data.options[0])?["value"].as_str().unwrap().to_owned();
                let components = rows(vec![
                    row(json!({"type": 2, "style": 1, "label": "Press", "custom_id": "button"})),
                    row(json!({"type": 3, "custom_id": "select", "options": [{"label": "A", "value": "a"}, {"label": "B", "value": "b"}]})),
                ]);
                client.update_response(&i.token).content(Some(&format!("hello {who}"))).components(Some(&components)).await?;
            }
            Some(InteractionData::MessageComponent(data)) if data.custom_id == "button" => {
                let components = rows(vec![row(json!({"type": 4, "custom_id": "why", "label": "Why", "style": 1}))]);
                let data = InteractionResponseData { custom_id: Some("form".into()), title: Some("Form".into()), components: Some(components), ..Default::default() };
                client.create_response(i.id, &i.token, &InteractionResponse { kind: InteractionResponseType::Modal, data: Some(data) }).await?;
            }
            Some(InteractionData::MessageComponent(data)) => {
                client.create_response(i.id, &i.token, &defer).await?;
                client.create_followup(&i.token).content(&format!("picked {}", data.values[0])).await?;
            }
            Some(InteractionData::ModalSubmit(data)) => {
                let why = serde_json::to_value(&data)?["components"][0]["components"][0]["value"].as_str().unwrap().to_owned();
                let data = InteractionResponseData { content: Some(format!("why: {why}")), ..Default::default() };
                client.create_response(i.id, &i.token, &InteractionResponse { kind: InteractionResponseType::ChannelMessageWithSource, data: Some(data) }).await?;
            }
            _ => {}
        }
        Ok(())
    }

    async fn steps(self: Arc<Self>, application: Id<ApplicationMarker>) -> Res<()> {
        let harness = &self.harness;
        let (general, quiet) = (harness.id::<ChannelMarker>("general"), harness.id::<ChannelMarker>("quiet"));
        let bob = self.http.guild_member(harness.id("guild"), harness.id("bob")).await?.model().await?;
        assert_eq!(bob.user.name, "bob");
        passed("login");
        harness.say("hello bot").await?;
        harness.hears("message hello bot").await?;
        passed("hear");
        let embed: Embed = serde_json::from_value(json!({"type": "rich", "title": "a title", "color": 255, "fields": []}))?;
        let message = self.http.create_message(general).content("sent").embeds(&[embed]).await?.model().await?;
        assert_eq!(message.embeds[0].title.as_deref(), Some("a title"));
        passed("send");
        let reply = self.http.create_message(general).content("a reply").reply(message.id).await?.model().await?;
        assert_eq!(reply.reference.unwrap().message_id, Some(message.id));
        passed("reply");
        self.http.update_message(general, message.id).content(Some("edited")).await?;
        assert_eq!(self.http.message(general, message.id).await?.model().await?.content, "edited");
        passed("edit");
        let thumb = RequestReactionType::Unicode { name: "👍" };
        self.http.create_reaction(general, message.id, &thumb).await?;
        harness.hears("reaction 👍").await?;
        self.http.delete_current_user_reaction(general, message.id, &thumb).await?;
        passed("react");
        let thread = self.http.create_thread_from_message(general, message.id, "a thread").await?.model().await?;
        self.http.create_message(thread.id).content("in the thread").await?;
        passed("thread");
        // twilight refuses names with other letters than those of ASCII.
        let files = [Attachment::from_bytes("a.txt".into(), b"data".to_vec(), 0)];
        let upload = self.http.create_message(general).attachments(&files).await?.model().await?;
        assert_eq!(upload.attachments[0].size, 4);
        passed("upload");
        self.http.delete_message(general, reply.id).await?;
        passed("delete");
        harness.fill().await?;
        let mut history: Vec<u64> = Vec::new();
        loop {
            let page = match history.last() {
                None => self.http.channel_messages(quiet).limit(50).await?.models().await?,
                Some(last) => self.http.channel_messages(quiet).before(Id::new(*last)).limit(50).await?.models().await?,
            };
            if page.is_empty() {
                break;
            }
            history.extend(page.iter().map(|m| m.id.get()));
        }
        assert!(history.len() == 120 && history.windows(2).all(|w| w[0] > w[1]));
        passed("history");
        let option: CommandOption = serde_json::from_value(json!({"type": CommandOptionType::String, "name": "who", "description": "Whom", "required": true}))?;
        #[allow(deprecated)]
        let command = Command {
            application_id: None, contexts: None, default_member_permissions: None, description: "Says hello".into(), description_localizations: None,
            dm_permission: None, guild_id: None, id: None, integration_types: None, kind: CommandType::ChatInput, name: "hello".into(),
            name_localizations: None, nsfw: None, options: vec![option], version: Id::new(1),
        };
        assert_eq!(self.http.interaction(application).set_global_commands(&[command]).await?.models().await?.len(), 1);
        harness.interact().await?;
        harness.resume().await?;
        let bot = self.clone();
        harness
            .in_order(move |channel: Id<ChannelMarker>, content: String| {
                let bot = bot.clone();
                async move {
                    bot.http.create_message(channel).content(&content).await?;
                    Ok(())
                }
            })
            .await
    }
}

#[tokio::main]
async fn main() -> Res<()> {
    rustls::crypto::ring::default_provider().install_default().unwrap();
    let harness = Harness::new()?;
    let token = harness.text("token").to_owned();
    // The client has its own path, /api/v10.
    let host = harness.text("api").trim_start_matches("http://").trim_end_matches("/api").to_owned();
    let http = Client::builder().token(token.clone()).proxy(host, true).build();
    let shard_config = ConfigBuilder::new(token, Intents::all()).proxy_url(harness.text("gateway").to_owned()).build();
    let mut shard = Shard::with_config(ShardId::ONE, shard_config);
    let bot = Arc::new(Bot { http, harness });
    let mut application = None;
    while let Some(event) = shard.next_event(EventTypeFlags::all()).await {
        let bot = bot.clone();
        match event {
            Ok(Event::Ready(ready)) => application = Some(ready.application.id),
            Ok(Event::GuildCreate(_)) => {
                let application = application.take().expect("one guild, after READY");
                tokio::spawn(async move {
                    let result = bot.steps(application).await;
                    if let Err(error) = &result {
                        eprintln!("{error:?}");
                    }
                    std::process::exit(i32::from(result.is_err()));
                });
            }
            Ok(Event::MessageCreate(m)) => bot.harness.hear(format!("message {}", m.content)),
            Ok(Event::ReactionAdd(r)) => bot.harness.hear(format!("reaction {}", serde_json::to_value(&r.emoji)?["name"].as_str().unwrap_or(""))),
            Ok(Event::InteractionCreate(i)) => {
                tokio::spawn(async move {
                    if let Err(error) = bot.answer(i.0).await {
                        eprintln!("{error:?}");
                    }
                });
            }
            Err(error) => eprintln!("{error:?}"),
            _ => {}
        }
    }
    Ok(())
}
