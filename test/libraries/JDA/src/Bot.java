import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.EnumSet;
import net.dv8tion.jda.api.EmbedBuilder;
import net.dv8tion.jda.api.JDA;
import net.dv8tion.jda.api.JDABuilder;
import net.dv8tion.jda.api.components.actionrow.ActionRow;
import net.dv8tion.jda.api.components.buttons.Button;
import net.dv8tion.jda.api.components.label.Label;
import net.dv8tion.jda.api.components.selections.StringSelectMenu;
import net.dv8tion.jda.api.components.textinput.TextInput;
import net.dv8tion.jda.api.components.textinput.TextInputStyle;
import net.dv8tion.jda.api.entities.Message;
import net.dv8tion.jda.api.entities.emoji.Emoji;
import net.dv8tion.jda.api.events.interaction.ModalInteractionEvent;
import net.dv8tion.jda.api.events.interaction.command.SlashCommandInteractionEvent;
import net.dv8tion.jda.api.events.interaction.component.ButtonInteractionEvent;
import net.dv8tion.jda.api.events.interaction.component.StringSelectInteractionEvent;
import net.dv8tion.jda.api.events.message.MessageReceivedEvent;
import net.dv8tion.jda.api.events.message.react.MessageReactionAddEvent;
import net.dv8tion.jda.api.hooks.ListenerAdapter;
import net.dv8tion.jda.api.interactions.commands.OptionType;
import net.dv8tion.jda.api.interactions.commands.build.Commands;
import net.dv8tion.jda.api.modals.Modal;
import net.dv8tion.jda.api.requests.GatewayIntent;
import net.dv8tion.jda.api.requests.RestConfig;
import net.dv8tion.jda.api.utils.FileUpload;
import net.dv8tion.jda.api.utils.MemberCachePolicy;
import net.dv8tion.jda.api.utils.ChunkingFilter;
import net.dv8tion.jda.api.utils.SessionControllerAdapter;

/** A bot of the library JDA. */
final class Bot extends ListenerAdapter {
    public static void main(String[] args) {
        int code = 1;
        try {
            steps(JDABuilder.create(Harness.text("token"), EnumSet.allOf(GatewayIntent.class))
                    .setRestConfig(new RestConfig().setBaseUrl(Harness.text("api") + "/v10/"))
                    .setSessionController(new SessionControllerAdapter() {
                        @Override
                        public String getGateway() {
                            return Harness.text("gateway");
                        }
                    })
                    .setMemberCachePolicy(MemberCachePolicy.ALL)
                    .setChunkingFilter(ChunkingFilter.ALL)
                    .addEventListeners(new Bot())
                    .build()
                    .awaitReady());
            code = 0;
        } catch (Throwable failed) {
            failed.printStackTrace();
        }
        System.exit(code); // whatever the library still does
    }

    @Override
    public void onMessageReceived(MessageReceivedEvent event) {
        Harness.hear("message", event.getMessage().getContentRaw());
    }

    @Override
    public void onMessageReactionAdd(MessageReactionAddEvent event) {
        Harness.hear("reaction", event.getEmoji().getName());
    }

    @Override
    public void onSlashCommandInteraction(SlashCommandInteractionEvent event) {
        event.deferReply().queue();
        event.getHook()
                .editOriginal("hello " + event.getOption("who").getAsString())
                .setComponents(
                        ActionRow.of(Button.primary("button", "Press")),
                        ActionRow.of(StringSelectMenu.create("select").addOption("A", "a").addOption("B", "b").build()))
                .queue();
    }

    @Override
    public void onButtonInteraction(ButtonInteractionEvent event) {
        var why = TextInput.create("why", TextInputStyle.SHORT).build();
        event.replyModal(Modal.create("form", "Form").addComponents(Label.of("Why", why)).build()).queue();
    }

    @Override
    public void onModalInteraction(ModalInteractionEvent event) {
        event.reply("why: " + event.getValue("why").getAsString()).queue();
    }

    @Override
    public void onStringSelectInteraction(StringSelectInteractionEvent event) {
        event.deferReply().queue();
        event.getHook().sendMessage("picked " + event.getValues().get(0)).queue();
    }

    private static void steps(JDA jda) throws Exception {
        var general = jda.getTextChannelById(Harness.text("general"));
        var bob = general.getGuild().getMemberById(Harness.text("bob"));
        Harness.check(bob.getUser().getName().equals("bob"), bob);
        Harness.passed("login");
        Harness.say("hello bot");
        Harness.hears("message", "hello bot");
        Harness.passed("hear");
        var message = general.sendMessage("sent").setEmbeds(new EmbedBuilder().setTitle("a title").setColor(255).build()).complete();
        Harness.check(message.getEmbeds().get(0).getTitle().equals("a title"), message);
        Harness.passed("send");
        var reply = message.reply("a reply").complete();
        Harness.check(reply.getMessageReference().getMessageId().equals(message.getId()), reply);
        Harness.passed("reply");
        message.editMessage("edited").complete();
        Harness.check(general.retrieveMessageById(message.getId()).complete().getContentRaw().equals("edited"), message);
        Harness.passed("edit");
        var thumb = Emoji.fromUnicode("👍");
        message.addReaction(thumb).complete();
        Harness.hears("reaction", "👍");
        message.removeReaction(thumb).complete();
        Harness.passed("react");
        message.createThreadChannel("a thread").complete().sendMessage("in the thread").complete();
        Harness.passed("thread");
        var upload = general.sendFiles(FileUpload.fromData("data".getBytes(StandardCharsets.UTF_8), "ü.txt")).complete();
        Harness.check(upload.getAttachments().get(0).getSize() == 4, upload);
        Harness.passed("upload");
        reply.delete().complete();
        Harness.passed("delete");
        Harness.fill();
        var history = new ArrayList<Long>();
        var pages = jda.getTextChannelById(Harness.text("quiet")).getHistory();
        for (var page = pages.retrievePast(50).complete(); !page.isEmpty(); page = pages.retrievePast(50).complete()) {
            page.stream().map(Message::getIdLong).forEach(history::add);
        }
        Harness.check(history.size() == 120 && history.equals(history.stream().sorted(Comparator.reverseOrder()).toList()), history);
        Harness.passed("history");
        var hello = Commands.slash("hello", "Says hello").addOption(OptionType.STRING, "who", "Whom", true);
        Harness.check(jda.updateCommands().addCommands(hello).complete().size() == 1, "commands");
        Harness.interact();
        Harness.resume();
        Harness.inOrder((channel, content) -> jda.getTextChannelById(channel).sendMessage(content).complete());
    }
}
