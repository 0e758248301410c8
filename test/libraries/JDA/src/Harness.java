import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import net.dv8tion.jda.api.utils.data.DataArray;
import net.dv8tion.jda.api.utils.data.DataObject;

/** What the bot of a Java library needs: the configuration, the control of the sandbox, and events that a step waits for. */
final class Harness {
    static final DataObject CONFIG = DataObject.fromJson(System.getenv("LIBRARY"));
    private static final long PATIENCE = 60_000; // milliseconds
    private static final HttpClient CLIENT = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    private static final List<String> HEARD = new ArrayList<>();

    private Harness() {}

    interface Sending {
        void send(String channel, String content);
    }

    static String text(String key) {
        return CONFIG.getString(key);
    }

    static void check(boolean ok, Object what) {
        if (!ok) throw new AssertionError(what);
    }

    static void passed(String step) {
        System.out.println("passed " + step);
    }

    /** Controls the sandbox, as the people who use the bot would act in Discord. */
    private static String control(String method, String path, DataObject body) throws IOException, InterruptedException {
        var publisher = body == null ? HttpRequest.BodyPublishers.noBody() : HttpRequest.BodyPublishers.ofString(body.toString());
        var request = HttpRequest.newBuilder(URI.create(text("control") + path)).method(method, publisher).build();
        var response = CLIENT.send(request, HttpResponse.BodyHandlers.ofString());
        if (response.statusCode() >= 400) throw new IOException(method + " " + path + ": " + response.body());
        return response.body();
    }

    private static String general(String path) {
        return "channels/" + text("general") + "/" + path;
    }

    /** Has a person write a message. */
    static void say(String content) throws Exception {
        var author = DataObject.empty().put("id", text("bob"));
        control("POST", general("messages"), DataObject.empty().put("content", content).put("author", author));
    }

    private static void use(DataObject what) throws IOException, InterruptedException {
        control("POST", general("interactions"), what);
    }

    /** Waits for a condition. */
    private static void until(String what, Callable<Boolean> done) throws Exception {
        for (long end = System.currentTimeMillis() + PATIENCE; !done.call(); Thread.sleep(20)) {
            check(System.currentTimeMillis() < end, what + " did not happen");
        }
    }

    private static void answered(String content) throws Exception {
        until("the answer " + content, () -> {
            var messages = DataArray.fromJson(control("GET", general("messages"), null));
            return messages.getObject(messages.length() - 1).getString("content").equals(content);
        });
    }

    /** Notes an event. */
    static void hear(String kind, String value) {
        synchronized (HEARD) {
            HEARD.add(kind + " " + value);
        }
    }

    /** Waits for an event. */
    static void hears(String kind, String value) throws Exception {
        until(kind + " " + value, () -> {
            synchronized (HEARD) {
                int i = HEARD.indexOf(kind + " " + value);
                HEARD.subList(0, i + 1).clear();
                return i >= 0;
            }
        });
    }

    /** Uses the command of the bot, its button, its modal and its select. */
    static void interact() throws Exception {
        var who = DataObject.empty().put("name", "who").put("type", 3).put("value", "you");
        use(DataObject.empty().put("name", "hello").put("options", DataArray.empty().add(who)));
        answered("hello you");
        passed("command");
        use(DataObject.empty().put("custom_id", "button"));
        until("the modal", () -> {
            try {
                use(DataObject.empty().put("custom_id", "form").put("fields", DataObject.empty().put("why", "because")));
                return true;
            } catch (IOException notYetOpen) {
                return false;
            }
        });
        answered("why: because");
        passed("button");
        passed("modal");
        use(DataObject.empty().put("custom_id", "select").put("values", DataArray.empty().add("b")));
        answered("picked b");
        passed("select");
    }

    /** Cuts the bot's connection while somebody writes. */
    static void resume() throws Exception {
        control("POST", "gateway/drop", DataObject.empty());
        say("while you were away");
        hears("message", "while you were away");
        var counts = DataObject.fromJson(control("GET", "gateway", null)).getObject("counts");
        check(counts.getInt("resumes") >= 1 && counts.getInt("identifies") == 1, counts);
        passed("resume");
    }

    /** Fills a channel with 120 messages. */
    static void fill() throws Exception {
        var message = DataObject.empty().put("channel_id", text("quiet")).put("content", "old");
        control("POST", "gateway/burst", DataObject.empty().put("count", 120).put("message", message));
    }

    /** Sends ten messages to each of six channels. */
    static void inOrder(Sending sending) throws Exception {
        var channels = CONFIG.getArray("channels").stream(DataArray::getString).toList();
        var pool = Executors.newFixedThreadPool(channels.size());
        var tasks = channels.stream().<Callable<Void>>map(channel -> () -> {
            for (int i = 0; i < 10; i++) sending.send(channel, "number " + i);
            return null;
        }).toList();
        for (var task : pool.invokeAll(tasks)) task.get();
        pool.shutdown();
        passed("order");
    }
}
