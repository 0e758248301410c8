"""Settings of an Alliance Auth site with the apps that use discordproxy.

The site keeps its data in an SQLite database in memory and in the Redis server
that listens on the Unix socket REDIS_SOCKET.
"""

import os

from allianceauth.project_template.project_name.settings.base import *  # noqa: F403
from allianceauth.project_template.project_name.settings.base import INSTALLED_APPS, STORAGES

_REDIS = os.environ["REDIS_SOCKET"]

SECRET_KEY = "only for tests"
SITE_NAME = "Tests"
SITE_URL = "http://127.0.0.1:8000"
ROOT_URLCONF = "site_urls"
TEST_RUNNER = "site_runner.Runner"
DEBUG = False

INSTALLED_APPS = [
    *INSTALLED_APPS,
    "allianceauth.services.modules.discord",
    "eve_sde",
    "eveuniverse",
    "memberaudit",
    "discordnotify",
    "freight",
    "mailrelay",
    "aasrp",
]

# The tables are made from the models: the tests do not depend on what migrations
# write, and running them takes longer than the tests.
MIGRATION_MODULES = {app.rsplit(".", 1)[-1]: None for app in INSTALLED_APPS}
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
BROKER_URL = f"redis+socket://{_REDIS}?virtual_host=0"
CACHES = {"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": f"unix://{_REDIS}?db=1"}}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# Without collectstatic there is no manifest of the static files.
STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
STATICFILES_DIRS = []
LOGGING = None
ANALYTICS_DISABLED = True
REGISTRATION_VERIFY_EMAIL = False

ESI_SSO_CLIENT_ID = "client"
ESI_SSO_CLIENT_SECRET = "secret"
ESI_SSO_CALLBACK_URL = f"{SITE_URL}/sso/callback"
ESI_USER_CONTACT_EMAIL = "tests@example.com"

DISCORD_GUILD_ID = "1100000000000000100"
DISCORD_CALLBACK_URL = f"{SITE_URL}/discord/callback/"
DISCORD_APP_ID = "1"
DISCORD_APP_SECRET = "secret"
DISCORD_BOT_TOKEN = "token"
DISCORD_SYNC_NAMES = False
