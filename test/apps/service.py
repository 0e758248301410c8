"""Runs every method of Alliance Auth's DiscordClient, and what users do with it.

The environment is that of service_settings. Standard input is JSON: the ids of
the server's members alice and bob, of the stranger, who is no member, of a role
that the bot can give, and two codes with which the stranger and alice have let
the site use their accounts.
"""

import json
import os
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "service_settings")
os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # the test's proxy has no TLS

import django

django.setup()

from django.conf import settings
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.test import Client
from requests.exceptions import HTTPError

from allianceauth.authentication.models import CharacterOwnership, User
from allianceauth.eveonline.models import EveCharacter
from allianceauth.services.modules.discord import tasks
from allianceauth.services.modules.discord.core import create_bot_client, server_name
from allianceauth.services.modules.discord.discord_client import DiscordClient
from allianceauth.services.modules.discord.discord_client import client as client_module
from allianceauth.services.modules.discord.models import DiscordUser
from allianceauth.utils.cache import get_redis_client

given = json.load(sys.stdin)
alice, bob, stranger, role = (int(given[name]) for name in ("alice", "bob", "stranger", "role"))
guild = int(settings.DISCORD_GUILD_ID)
checks = 0


def check(what, got, want):
    """Compares an outcome with the right one."""
    global checks
    checks += 1
    if got != want:
        sys.exit(f"{what}: got {got!r}, want {want!r}")


def methods():
    """Every method of the client but those for users, which flows() runs."""
    bot = create_bot_client(is_rate_limited=False)
    check("guild_infos", bot.guild_infos(guild).id, guild)
    check("guild_name", bot.guild_name(guild, use_cache=False), "Sandbox")
    check("guild_name, cached", bot.guild_name(guild), "Sandbox")
    check("server_name", server_name(use_cache=False), "Sandbox")
    names = {r.name for r in bot.guild_roles(guild, use_cache=False)}
    check("guild_roles", {"member", "moderator", "admin"} <= names, True)
    made = bot.create_guild_role(guild, "made here", mentionable=True)
    check("create_guild_role", made.name, "made here")
    check("match_role_from_name", bot.match_role_from_name(guild, "made here"), made)
    check("match_role_from_name, unknown", bot.match_role_from_name(guild, "nobody"), None)
    check("match_or_create_role_from_name", bot.match_or_create_role_from_name(guild, "made here"), (made, False))
    pairs = dict((r.name, created) for r, created in bot.match_or_create_roles_from_names(guild, ["made here", "made there"]))
    check("match_or_create_roles_from_names", pairs, {"made here": False, "made there": True})
    both = bot.match_or_create_roles_from_names_2(guild, ["made here", "made there"])
    check("match_or_create_roles_from_names_2", len(both.ids()), 2)
    check("guild_member", bot.guild_member(guild, alice).user.id, alice)
    check("guild_member, unknown", bot.guild_member(guild, stranger), None)
    check("modify_guild_member", bot.modify_guild_member(guild, bob, role_ids=[role], nick="Bobby"), True)
    check("its nick", bot.guild_member(guild, bob).nick, "Bobby")
    check("modify_guild_member, unknown", bot.modify_guild_member(guild, stranger, nick="x"), None)
    check("add_guild_member_role", bot.add_guild_member_role(guild, bob, made.id), True)
    check("guild_member_roles", bot.guild_member_roles(guild, bob).ids(), {role, made.id})
    check("add_guild_member_role, unknown", bot.add_guild_member_role(guild, stranger, made.id), None)
    check("remove_guild_member_role", bot.remove_guild_member_role(guild, bob, made.id), True)
    check("remove_guild_member_role, unknown", bot.remove_guild_member_role(guild, stranger, made.id), None)
    for r in both:
        check("delete_guild_role", bot.delete_guild_role(guild, r.id), True)
    check("remove_guild_member, unknown", bot.remove_guild_member(guild, stranger), None)
    try:
        bot.guild_infos(1)
        sys.exit("a server that is not there was found")
    except HTTPError as ex:
        check("guild_infos, unknown", ex.response.status_code, 404)
    try:
        DiscordClient("no-token", is_rate_limited=False).current_user()
        sys.exit("a user without a token was found")
    except HTTPError as ex:
        check("current_user, unknown", ex.response.status_code, 401)
    # The client's own limit counts like those of Discord.
    check("with its own limit", create_bot_client().guild_member(guild, alice).user.id, alice)


def make_user(name, number):
    """Returns a user of the site with a main character, logged in."""
    user = User.objects.create_user(name, password="password")
    character = EveCharacter.objects.create(
        character_id=number, character_name=name, corporation_id=2001, corporation_name="Corp", corporation_ticker="C"
    )
    CharacterOwnership.objects.create(character=character, owner_hash=f"hash {number}", user=user)
    user.profile.main_character = character
    user.profile.save()
    user.user_permissions.add(Permission.objects.get(codename="access_discord"))
    browser = Client()
    user = User.objects.get(pk=user.pk)
    browser.force_login(user, backend=settings.AUTHENTICATION_BACKENDS[0])
    return user, browser


def flows():
    """What users do on the site, and what follows from it."""
    bot = create_bot_client(is_rate_limited=False)
    call_command("migrate", run_syncdb=True, verbosity=0)
    for name, uid, code, member in (("Stray", stranger, "stranger_code", False), ("Alice Main", alice, "alice_code", True)):
        user, browser = make_user(name, uid % 100000)
        check(f"{name} is a member", bot.guild_member(guild, uid) is not None, member)
        browser.get("/discord/callback/", {"code": given[code]})
        account = DiscordUser.objects.filter(user=user).first()
        check(f"{name} is linked", account and account.uid, uid)
        check(f"{name}'s nick", bot.guild_member(guild, uid).nick, name)
        state = user.profile.state.name
        check(f"{name}'s roles", {r.name for r in bot.guild_member_roles(guild, uid)}, {state})

        group = Group.objects.create(name=f"Pilots of {name}")
        user.groups.add(group)
        tasks.update_groups(user.pk)
        check(f"{name}'s roles with a group", {r.name for r in bot.guild_member_roles(guild, uid)}, {state, group.name})
        tasks.update_nickname(user.pk, nickname=f"{name} II")
        check(f"{name}'s new nick", bot.guild_member(guild, uid).nick, f"{name} II")
        tasks.update_username(user.pk)
        account.refresh_from_db()
        check(f"{name}'s username", account.username, bot.guild_member(guild, uid).user.username)
        browser.get("/discord/deactivate/")
        check(f"{name} is unlinked", DiscordUser.objects.filter(user=user).exists(), False)
        check(f"{name} was removed", bot.guild_member(guild, uid), None)


methods()
# A task beyond the client's own limit, 5 calls in 5 s, tries again later. There
# is no worker here that would.
client_module.RATE_LIMIT_MAX_REQUESTS = 1000
get_redis_client().delete(DiscordClient._KEY_GLOBAL_RATE_LIMIT_REMAINING)
flows()
print(f"passed {checks}")
