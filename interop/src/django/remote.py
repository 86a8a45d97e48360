"""Who is there: what the gateway says in a header of its own."""

from django.contrib.auth.middleware import RemoteUserMiddleware


class FromTheGateway(RemoteUserMiddleware):
    header = "HTTP_X_REMOTE_USER"
