"""Runs the flows of Authlib and requests-oauthlib that are asked for.

Reads one JSON object on standard input; prints one: what each flow gave.
"""

import json
import os
import sys

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # loopback

import requests
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session as Authlib
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from joserfc import jwk, jwt
from oauthlib.oauth2 import BackendApplicationClient
from oauthlib.oauth2.rfc6749.errors import OAuth2Error
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session as RequestsOAuthlib


def authlib(c):
    out = {}
    meta = requests.get(c["issuer"] + "/.well-known/oauth-authorization-server", timeout=10).json()
    out["discovery"] = meta["token_endpoint"]

    def session(method, secret=c["secret"], who=c["client"]):
        return Authlib(who, secret, token_endpoint_auth_method=method, scope=c["scope"])

    for flow, method in (("basic", "client_secret_basic"), ("post", "client_secret_post")):
        out[flow] = session(method).fetch_token(meta["token_endpoint"], grant_type="client_credentials")["access_token"]
    # It signs for the token endpoint unless it is told who the server is.
    signing = session("private_key_jwt", jwk.ECKey.import_key(c["key"]))
    signing.register_client_auth_method(PrivateKeyJWT(meta["token_endpoint"], claims={"aud": c["issuer"]}, headers={"kid": c["key"]["kid"]}, alg="ES256"))
    out["signed"] = signing.fetch_token(meta["token_endpoint"], grant_type="client_credentials")["access_token"]
    presenting = session("none", None)
    out["presented"] = presenting.fetch_token(c["mtls"] + "/oauth2/token", grant_type="client_credentials", cert=(c["certificate"], c["private_key"]), verify=c["authority"])["access_token"]
    try:
        session("client_secret_basic", "wrong").fetch_token(meta["token_endpoint"], grant_type="client_credentials")
        out["wrong"] = "no error"
    except OAuthError as e:
        out["wrong"] = e.error
    gateway = Authlib(c["gateway"], c["gateway_secret"], token_endpoint_auth_method="client_secret_basic")
    out["introspect"] = gateway.introspect_token(meta["introspection_endpoint"], token=out["basic"]).json()
    keys = jwk.KeySet.import_key_set(requests.get(meta["jwks_uri"], timeout=10).json())
    token = jwt.decode(out["basic"], keys, algorithms=["ES256"])
    jwt.JWTClaimsRegistry(iss={"essential": True, "value": c["issuer"]}, aud={"essential": True, "value": c["audience"]}, exp={"essential": True}).validate(token.claims)
    out["verify"] = token.claims["client_id"]
    revoked = session("client_secret_basic").revoke_token(meta["revocation_endpoint"], token=out["post"])
    out["revoke"] = revoked.status_code
    return out


def requests_oauthlib(c):
    out = {}
    url = c["issuer"] + "/oauth2/token"

    def session():
        return RequestsOAuthlib(client=BackendApplicationClient(client_id=c["client"], scope=c["scope"]))

    out["basic"] = session().fetch_token(url, auth=HTTPBasicAuth(c["client"], c["secret"]))["access_token"]
    out["post"] = session().fetch_token(url, client_secret=c["secret"], include_client_id=True)["access_token"]
    out["presented"] = session().fetch_token(
        c["mtls"] + "/oauth2/token", include_client_id=True, cert=(c["certificate"], c["private_key"]), verify=c["authority"]
    )["access_token"]
    try:
        session().fetch_token(url, auth=HTTPBasicAuth(c["client"], "wrong"))
        out["wrong"] = "no error"
    except OAuth2Error as e:
        out["wrong"] = e.error
    return out


config = json.load(sys.stdin)
json.dump({"authlib": authlib, "requests-oauthlib": requests_oauthlib}[config["library"]](config), sys.stdout)
