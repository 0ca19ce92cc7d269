// Runs the flows of openid-client and oauth4webapi that are asked for. Reads one
// JSON object on standard input; prints one: what each flow gave.

import { readFileSync } from 'node:fs'
import { request } from 'node:https'

const c = JSON.parse(readFileSync(0, 'utf8'))
const load = (path) => import(`${c.modules}/${path}`)

const privateKey = () => crypto.subtle.importKey('jwk', c.key, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])

// fetch with a certificate: Node's own has none.
const presenting = (url, { method, headers, body }) =>
  new Promise((resolve, reject) => {
    const file = (name) => readFileSync(c[name])
    const options = { method, headers: Object.fromEntries(new Headers(headers)), ca: file('authority'), cert: file('certificate'), key: file('private_key'), agent: false }
    const asking = request(url, options, async (answer) => {
      const parts = []
      for await (const part of answer) parts.push(part)
      resolve(new Response(Buffer.concat(parts), { status: answer.statusCode, headers: answer.headers }))
    })
    asking.on('error', reject)
    asking.end(body === undefined ? undefined : body.toString())
  })

async function openidClient() {
  const oidc = await load('openid-client/build/index.js')
  const out = {}
  const discover = (id, secret, authentication) =>
    oidc.discovery(new URL(c.issuer), id, secret, authentication, { execute: [oidc.allowInsecureRequests], algorithm: 'oauth2' })
  const basic = await discover(c.client, undefined, oidc.ClientSecretBasic(c.secret))
  out.discovery = basic.serverMetadata().token_endpoint
  const post = await discover(c.client, undefined, oidc.ClientSecretPost(c.secret))
  const parameters = { scope: c.scope }
  out.basic = (await oidc.clientCredentialsGrant(basic, parameters)).access_token
  out.post = (await oidc.clientCredentialsGrant(post, parameters)).access_token
  const signing = await discover(c.client, undefined, oidc.PrivateKeyJwt({ key: await privateKey(), kid: c.key.kid }))
  out.signed = (await oidc.clientCredentialsGrant(signing, parameters)).access_token
  const certified = await discover(c.client, { use_mtls_endpoint_aliases: true }, oidc.TlsClientAuth())
  certified[oidc.customFetch] = presenting
  out.presented = (await oidc.clientCredentialsGrant(certified, parameters)).access_token
  const DPoP = oidc.getDPoPHandle(basic, await oidc.randomDPoPKeyPair('ES256'))
  out.proven = (await oidc.clientCredentialsGrant(basic, parameters, { DPoP })).access_token
  out.called = (await oidc.fetchProtectedResource(basic, out.proven, new URL(c.resource), 'GET', undefined, undefined, { DPoP })).status
  try {
    await oidc.clientCredentialsGrant(await discover(c.client, undefined, oidc.ClientSecretBasic('wrong')), parameters)
    out.wrong = 'no error'
  } catch (e) {
    // A 401 with a challenge is told by the challenge, its body in the cause.
    out.wrong = e.error ?? (await e.response?.clone().json().catch(() => undefined))?.error ?? e.cause?.[0]?.scheme
  }
  const gateway = await discover(c.gateway, undefined, oidc.ClientSecretBasic(c.gateway_secret))
  out.introspect = await oidc.tokenIntrospection(gateway, out.basic)
  await oidc.tokenRevocation(basic, out.post)
  out.revoke = 200
  return out
}

async function oauth4webapi() {
  const oauth = await load('oauth4webapi/build/index.js')
  const insecure = { [oauth.allowInsecureRequests]: true }
  const out = {}
  const issuer = new URL(c.issuer)
  const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure }))
  out.discovery = as.token_endpoint
  const client = { client_id: c.client }
  const token = async (authentication, more) => {
    const response = await oauth.clientCredentialsGrantRequest(as, client, authentication, new URLSearchParams({ scope: c.scope }), { ...insecure, ...more })
    return (await oauth.processClientCredentialsResponse(as, client, response)).access_token
  }
  out.basic = await token(oauth.ClientSecretBasic(c.secret))
  out.post = await token(oauth.ClientSecretPost(c.secret))
  out.signed = await token(oauth.PrivateKeyJwt({ key: await privateKey(), kid: c.key.kid }))
  client.use_mtls_endpoint_aliases = true
  out.presented = await token(oauth.TlsClientAuth(), { [oauth.customFetch]: presenting })
  client.use_mtls_endpoint_aliases = false
  const DPoP = oauth.DPoP(client, await oauth.generateKeyPair('ES256'))
  out.proven = await token(oauth.ClientSecretBasic(c.secret), { DPoP })
  const call = () => oauth.protectedResourceRequest(out.proven, 'GET', new URL(c.resource), undefined, undefined, { DPoP, ...insecure })
  out.called = (await call().catch((e) => (oauth.isDPoPNonceError(e) ? call() : Promise.reject(e)))).status
  try {
    await token(oauth.ClientSecretBasic('wrong'))
    out.wrong = 'no error'
  } catch (e) {
    out.wrong = e.error ?? e.cause?.[0]?.scheme
  }
  const gateway = { client_id: c.gateway }
  const introspected = await oauth.introspectionRequest(as, gateway, oauth.ClientSecretBasic(c.gateway_secret), out.basic, insecure)
  out.introspect = await oauth.processIntrospectionResponse(as, gateway, introspected)
  // As a resource server that verifies by itself (RFC 9068).
  const request = new Request('https://shop.example/', { headers: { authorization: `Bearer ${out.basic}` } })
  out.verify = (await oauth.validateJwtAccessToken(as, request, c.audience, insecure)).client_id
  await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, oauth.ClientSecretBasic(c.secret), out.post, insecure))
  out.revoke = 200
  return out
}

const run = { 'openid-client': openidClient, oauth4webapi }[c.library]
process.stdout.write(JSON.stringify(await run()))
