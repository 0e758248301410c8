"""Has 20 threads of Alliance Auth's DiscordClient change a member each.

The environment is that of service_settings. Standard input is a JSON list of the
members' ids. A call that fails, be it by a 429, ends the program.
"""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "service_settings")

import django

django.setup()

from django.conf import settings

from allianceauth.services.modules.discord.core import create_bot_client

guild = int(settings.DISCORD_GUILD_ID)


def change(number, uid):
    """Does what the site does with a member, and returns how much of it succeeded."""
    bot = create_bot_client(is_rate_limited=False)
    return sum((
        bot.guild_infos(guild).id == guild,
        bot.guild_member(guild, uid).user.id == uid,
        bot.modify_guild_member(guild, uid, nick=f"pilot {number}") is True,
        bot.guild_member(guild, uid).nick == f"pilot {number}",
    ))


members = json.load(sys.stdin)
with ThreadPoolExecutor(len(members)) as pool:
    done = list(pool.map(change, range(len(members)), map(int, members)))
print(f"passed {sum(done)}")
