import hikari

from harness import CONFIG

bot = hikari.GatewayBot(
    CONFIG["token"],
    rest_url=CONFIG["api"] + "/v10",
    intents=hikari.Intents.ALL_UNPRIVILEGED | hikari.Intents.MESSAGE_CONTENT,
    banner=None,
    logs=None,
)


@bot.listen()
async def on_ready(event: hikari.ShardReadyEvent):
    print("ready", flush=True)


@bot.listen()
async def on_message(event: hikari.MessageCreateEvent):
    print("heard", event.content, flush=True)


bot.run(check_for_updates=False)
