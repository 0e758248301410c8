"""Addresses of the site: those of Alliance Auth and its apps."""

from allianceauth import urls
from django.urls import include, path

urlpatterns = [path("", include(urls))]
