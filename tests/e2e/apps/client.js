// node client.js URL: calls one after the other on a kept connection, and says on how many it was.
'use strict';
const http = require('node:http');

const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const sockets = new Set();

function send(method, body) {
  return new Promise((resolve, reject) => {
    const request = http.request(process.argv[2], { method, agent }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (data) => { text += data; });
      response.on('end', () => {
        console.log(`${response.httpVersion} ${response.statusCode} ${text}`);
        resolve();
      });
    });
    request.on('socket', (socket) => sockets.add(socket));
    request.on('error', reject);
    if (body) {
      request.write(body.subarray(0, body.length / 2)); // two writes: chunked
      request.write(body.subarray(body.length / 2));
    }
    request.end();
  });
}

(async () => {
  await send('GET');
  await send('POST', Buffer.from('hello!'));
  await send('PUT', Buffer.alloc(300000));
  await send('DELETE');
  console.log(`sockets ${sockets.size}`);
  agent.destroy();
})();
