// An identity provider: the package oidc-provider, with pages of its own to sign
// in. The first line of standard input is its configuration, {modules, cert, key};
// then it listens and prints its URL. The second is {redirect, people}; then it
// answers. It ends with standard input.
import { createServer } from 'node:https';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const next = async () => {
  const { value, done } = await lines.next();
  if (done) process.exit(0);
  return JSON.parse(value);
};

const { modules, cert, key } = await next();
const { Provider } = await import(pathToFileURL(`${modules}/lib/index.js`));
let answer = (_, res) => res.writeHead(503).end();
const server = createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (req, res) => answer(req, res));
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const issuer = `https://127.0.0.1:${server.address().port}`;
console.log(issuer);

const { redirect, people, secret } = await next();
const provider = new Provider(issuer, {
  clients: [{ client_id: 'postern', client_secret: secret, redirect_uris: [redirect] }],
  claims: {
    openid: ['sub'],
    profile: ['preferred_username', 'name', 'groups'],
    email: ['email', 'email_verified'],
  },
  features: { devInteractions: { enabled: false } },
  pkce: { required: () => true },
  interactions: { url: (_, i) => `/interaction/${i.uid}` },
  cookies: { keys: ['for a test'] },
  findAccount: (_, sub) => people[sub] && { accountId: sub, claims: () => ({ sub, ...people[sub] }) },
  // Nobody is asked whether Postern may know.
  loadExistingGrant: async (ctx) => {
    const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
    grant.addOIDCScope('openid profile email');
    await grant.save();
    return grant;
  },
});

const read = async (req) => {
  let body = '';
  for await (const part of req) body += part;
  return new URLSearchParams(body);
};
const handle = provider.callback();
answer = async (req, res) => {
  if (req.url === '/favicon.ico') return res.writeHead(204).end();
  if (!req.url.startsWith('/interaction/')) return handle(req, res);
  if (req.method === 'POST') {
    const form = await read(req);
    const result = form.has('refuse') ? { error: 'access_denied' } : { login: { accountId: form.get('login') } };
    return provider.interactionFinished(req, res, result, { mergeWithLastSubmission: false });
  }
  res.writeHead(200, { 'content-type': 'text/html; charset=utf-8' });
  res.end(`<!doctype html><html lang="en"><title>Provider</title><form method="post">
<label>Who are you? <input name="login"></label> <button>Sign in</button> <button name="refuse">Refuse</button></form>`);
};
for await (const _ of { [Symbol.asyncIterator]: () => lines });
process.exit(0);
