// Records what Fuse's Node client puts on the wire for a sync call, against a server on loopback. To record anew:
//
//     npm install --prefix /tmp/client fuse-node@2.0.3
//     node capture_fuse_node.mjs /tmp/client > fuse_node_calls.json
//
// The client itself knows only the Fuse-* headers; those of aggregators are handed to it as `baseOptions.headers`, the
// way its README shows. So their names are given below: from the OpenAPI document, and for Sophtron and the redirect
// URIs inferred from error codes, as today's document has none. What is recorded is how the client carries them, what
// it adds, and what becomes of values and body; its codes for missing headers too, since they name the headers again.

import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const HEADERS = {
  akoya: ["Akoya-Client-Id", "Akoya-Client-Secret"],
  basiq: ["Basiq-Api-Key"],
  belvo: ["Belvo-Secret-Id", "Belvo-Secret-Password"],
  finicity: ["Finicity-Partner-Id", "Finicity-App-Key", "Finicity-Partner-Secret"],
  finverse: ["Finverse-Client-Id", "Finverse-Client-Secret", "Finverse-Redirect-Uri"],
  flinks: ["Flinks-Ca-Customer-Id", "Flinks-Ca-Instance-Id", "Flinks-Us-Customer-Id", "Flinks-Us-Instance-Id"],
  mono: ["Mono-Public-Key", "Mono-Secret-Key", "Mono-Webhook-Secret"],
  mx: ["Mx-Client-Id", "Mx-Api-Key"],
  plaid: ["Plaid-Client-Id", "Plaid-Secret"],
  saltedge: ["SaltEdge-App-Id", "SaltEdge-App-Secret"],
  snaptrade: ["Snaptrade-Client-Id", "Snaptrade-Consumer-Key"],
  sophtron: ["Sophtron-User-Id", "Sophtron-Access-Key"],
  teller: [
    "Teller-Application-Id", "Teller-Certificate", "Teller-Private-Key", "Teller-Signing-Secret",
    "Teller-Token-Signing-Key",
  ],
  truelayer: ["TrueLayer-Client-Id", "TrueLayer-Client-Secret", "TrueLayer-Redirect-Uri"],
};

// Two lines of text each, long enough for base64 that GNU's tool would wrap.
const pem = (label) => `-----BEGIN ${label}-----\n${"FAKE".repeat(16)}\n-----END ${label}-----\n`;
const PEMS = { "Teller-Certificate": pem("CERTIFICATE"), "Teller-Private-Key": pem("PRIVATE KEY") };

// White space, escapes and number spellings that any second serialisation would change.
const BODY =
  '{ "type":"financial_connection.sync_data",\n\t"source": "mx", "environment":"sandbox", "n": [1.0, -0, 1E-7],' +
  ' "financial_connection_id":"c-1", "remote_data": "{\\"caf\\u00e9\\": \\"\\/\u00e9\\"}" }';
const VERIFICATION = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=";

const client = resolve(process.argv[2] ?? ".", "node_modules");
const require = createRequire(join(client, "fuse-node", "package.json"));
const { Configuration, FuseApi, FuseApiErrorCode } = require("fuse-node");

const value = (name) => (PEMS[name] ? Buffer.from(PEMS[name]).toString("base64") : `fake ${name.toLowerCase()}`);

const received = [];
const server = createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const { method, url, rawHeaders } = request;
    const headers = Array.from({ length: rawHeaders.length / 2 }, (_, i) => rawHeaders.slice(2 * i, 2 * i + 2));
    received.push({ method, url, headers, body: Buffer.concat(chunks).toString("base64") });
    response.writeHead(200, { "Content-Type": "application/json" }).end("{}");
  });
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));

async function record(names, body = BODY) {
  const own = { "Fuse-Client-Id": "fake client id", "Fuse-Api-Key": "fake api key", "Content-Type": "application/json" };
  const headers = Object.fromEntries(names.map((name) => [name, value(name)]));
  const api = new FuseApi(
    new Configuration({
      basePath: `http://127.0.0.1:${server.address().port}`,
      baseOptions: { headers: { ...own, ...headers } },
    }),
  );
  await api.syncFinancialConnectionsData(VERIFICATION, body);
  const { headers: sent, ...rest } = received.pop();
  const transport = new Set(["host", "connection", "content-length", "user-agent", "accept-encoding"]);
  return { ...rest, headers: Object.fromEntries(sent.filter(([name]) => !transport.has(name.toLowerCase()))) };
}

const calls = {};
for (const [aggregator, names] of Object.entries(HEADERS)) calls[aggregator] = await record(names);
calls.all = await record(Object.values(HEADERS).flat());
const spaced = await record([], ` ${BODY}\n`);
server.close();

const version = (name) => require(join(client, name, "package.json")).version;
const facts = {
  clients: { "fuse-node": version("fuse-node"), axios: version("axios"), node: process.versions.node },
  pems: PEMS,
  body: Buffer.from(BODY).toString("base64"),
  verification: VERIFICATION,
  calls,
  body_with_blanks_around_it_sent_as: spaced.body,
  missing_header_codes: Object.values(FuseApiErrorCode).filter((code) => /^missing_.*_header$/.test(code)).sort(),
};
console.log(JSON.stringify(facts, null, 2));
