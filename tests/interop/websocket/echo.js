// An instance made with ws: `node echo.js PORT`. Its orders are those of echo.py.
const { WebSocketServer } = require("ws");

const MIB = 1024 * 1024;

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: Number(process.argv[2]),
  perMessageDeflate: true,
  handleProtocols: (offered) => (offered.has("chat") ? "chat" : false),
});

server.on("connection", (socket) => {
  socket.on("message", (data, isBinary) => {
    const text = isBinary ? "" : data.toString();
    if (text.startsWith("/")) obey(socket, text.split(" "));
    else socket.send(data, { binary: isBinary });
  });
  socket.on("error", () => {});
  socket.on("close", (code, reason) => console.log(JSON.stringify({ code, reason: reason.toString() })));
});

function obey(socket, [order, ...rest]) {
  if (order === "/close") socket.close(Number(rest[0]), rest[1]);
  if (order === "/ping") {
    socket.once("pong", (data) => socket.send(`pong ${data}`));
    socket.ping("there?");
  }
  if (order === "/fragments") ["one ", "two ", "three"].forEach((part, at) => socket.send(part, { fin: at === 2 }));
  if (order === "/flood") flood(socket, Number(rest[0]));
}

function flood(socket, left) {
  if (left === 0) socket.send("done");
  else socket.send(Buffer.alloc(MIB, left), { compress: false }, () => flood(socket, left - 1));
}
