"""Settings of a small Alliance Auth site with its own Discord service.

The environment says where Discord's API is, and which application, server and
bot the site has. The site keeps its data in an SQLite database in memory and in
the Redis server that listens on the Unix socket REDIS_SOCKET.
"""

import os

from allianceauth.project_template.project_name.settings.base import *  # noqa: F403
from allianceauth.project_template.project_name.settings.base import INSTALLED_APPS, STORAGES

_REDIS = os.environ["REDIS_SOCKET"]

SECRET_KEY = "only for tests"
SITE_NAME = "Tests"
SITE_URL = "http://127.0.0.1:8000"
ROOT_URLCONF = "allianceauth.urls"
ALLOWED_HOSTS = ["testserver"]
DEBUG = False

INSTALLED_APPS = [*INSTALLED_APPS, "allianceauth.services.modules.discord"]

# The tables are made from the models, which is faster than by migrations.
MIGRATION_MODULES = {app.rsplit(".", 1)[-1]: None for app in INSTALLED_APPS}
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
BROKER_URL = f"redis+socket://{_REDIS}?virtual_host=0"
CACHES = {"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": f"unix://{_REDIS}?db=1"}}
STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
STATICFILES_DIRS = []
LOGGING = None
ANALYTICS_DISABLED = True
REGISTRATION_VERIFY_EMAIL = False

ESI_SSO_CLIENT_ID = "client"
ESI_SSO_CLIENT_SECRET = "secret"
ESI_SSO_CALLBACK_URL = f"{SITE_URL}/sso/callback"
ESI_USER_CONTACT_EMAIL = "tests@example.com"

DISCORD_API_BASE_URL = os.environ["DISCORD_API_BASE_URL"]
DISCORD_OAUTH_TOKEN_URL = DISCORD_API_BASE_URL + "oauth2/token"
DISCORD_API_TIMEOUT = int(os.environ.get("DISCORD_API_TIMEOUT", "300"))
DISCORD_GUILD_ID = os.environ["DISCORD_GUILD_ID"]
DISCORD_CALLBACK_URL = f"{SITE_URL}/discord/callback/"
DISCORD_APP_ID = os.environ["DISCORD_APP_ID"]
DISCORD_APP_SECRET = "sandbox-secret"
DISCORD_BOT_TOKEN = os.environ["DISCORD_BOT_TOKEN"]
DISCORD_SYNC_NAMES = True
