"""A bot with the slash command /roll, written against Discord Proxy.

    pip install grpcio grpcio-tools
    python examples/dice_bot.py localhost:50051
"""

import pathlib
import random
import sys
import time

import grpc

sys.path.append(str(pathlib.Path(__file__).parent.parent / "proto"))
pb, api = grpc.protos_and_services("discord_api/discord_api.proto")
proxy = api.DiscordApiStub(grpc.insecure_channel(sys.argv[1]))

sides = pb.ApplicationCommand.Option(type=4, name="sides", description="How many sides the die has")
roll = pb.ApplicationCommand(name="roll", description="Rolls a die", options=[sides])
proxy.SetApplicationCommands(pb.SetApplicationCommandsRequest(commands=[roll]), wait_for_ready=True)
print("ready", flush=True)


def answer(interaction):
    options = {option.name: option.value for option in interaction.data.options}
    number = random.randint(1, max(2, int(options.get("sides", "6"))))
    proxy.RespondInteraction(pb.RespondInteractionRequest(
        interaction_id=interaction.id,
        interaction_token=interaction.token,
        type=pb.RespondInteractionRequest.CHANNEL_MESSAGE_WITH_SOURCE,
        data={"content": f"{interaction.member.user.username} rolled {number}"},
    ))


position = None
while True:
    request = pb.SubscribeEventsRequest(types=[pb.Event.INTERACTION_CREATE], after=position)
    try:
        for response in proxy.SubscribeEvents(request, wait_for_ready=True):
            for event in response.events:
                if event.HasField("interaction"):
                    answer(event.interaction)
            position = response.position
    except grpc.RpcError as error:
        print(error.code(), error.details(), file=sys.stderr, flush=True)
        time.sleep(1)
