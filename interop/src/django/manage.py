"""Django's command line, and `administrator NAME`, which makes an administrator without a password."""

import os
import pathlib
import secrets
import sys

os.environ["DJANGO_SETTINGS_MODULE"] = "settings"

import django
from django.core.management import execute_from_command_line

secret = pathlib.Path(__file__).resolve().parent / "secret"
if not secret.exists():
    secret.write_text(secrets.token_urlsafe(48))

if sys.argv[1] == "administrator":
    django.setup()
    from django.contrib.auth import get_user_model

    get_user_model().objects.create_superuser(sys.argv[2])
else:
    execute_from_command_line(sys.argv)
