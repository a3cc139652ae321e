// Answers what JavaScript makes of a body. One line in is one body in base64; an empty line ends a batch.
// One line out for each body, once its batch has ended: `canonical signature`, both in base64, or `refused`.
// The key of all signatures is the first argument.
import { createHmac } from "node:crypto";
import { createInterface } from "node:readline";

const key = process.argv[2];

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

function withSortedKeys(_, value) {
  if (!isObject(value)) return value;
  const sorted = {};
  for (const name of Object.keys(value).sort()) sorted[name] = value[name];
  return sorted;
}

function answer(line) {
  let parsed;
  try {
    parsed = JSON.parse(Buffer.from(line, "base64").toString("utf8"));
  } catch {
    return "refused";
  }
  const canonical = JSON.stringify(parsed, withSortedKeys);
  const signature = createHmac("sha256", key).update(canonical).digest("base64");
  return `${Buffer.from(canonical).toString("base64")} ${signature}`;
}

let answers = [];
for await (const line of createInterface({ input: process.stdin })) {
  if (line !== "") {
    answers.push(answer(line));
  } else {
    process.stdout.write(answers.join("\n") + "\n");
    answers = [];
  }
}
