// A caller made with ws: `node client.js URL` tries what there is and prints what it saw, as JSON.
const crypto = require("node:crypto");
const { once } = require("node:events");
const WebSocket = require("ws");

const LARGE = crypto.randomBytes(16 * 1024 * 1024);

async function open(url) {
  const socket = new WebSocket(url, ["other", "chat"], { maxPayload: 2 * LARGE.length });
  await once(socket, "open");
  return socket;
}

async function echoed(socket, ...sent) {
  const compress = sent[0] !== LARGE; // which would take seconds
  sent.forEach((part, at) => socket.send(part, { fin: at === sent.length - 1, compress }));
  const [data, isBinary] = await once(socket, "message");
  return isBinary ? data : data.toString();
}

async function main(url) {
  const socket = await open(url);
  const saw = { protocol: socket.protocol, extensions: socket.extensions };
  saw.small = await echoed(socket, "héllo");
  saw.large = LARGE.equals(await echoed(socket, LARGE));
  saw.fragments = await echoed(socket, "a", "b", "c");
  saw.ordered = await echoed(socket, "/fragments");
  socket.ping("mine");
  saw.pong = (await once(socket, "pong"))[0].toString();
  saw.asked = await echoed(socket, "/ping");
  socket.send("/close 4001 bye");
  const [code, reason] = await once(socket, "close");
  saw.closed = [code, reason.toString()];
  const other = await open(url);
  other.close(4002, "enough");
  saw.left = (await once(other, "close"))[0];
  console.log(JSON.stringify(saw));
}

main(process.argv[2]);
