import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** A TCP line to a server on this machine that can be cut: what a dead process or a broken network looks like. */
export interface Line {
  readonly port: number;
  /** From now on nothing passes and nobody gets through. */
  readonly cut: () => Promise<void>;
  /** From now on nothing passes, and nobody is told: a pulled cable. */
  readonly mute: () => void;
  readonly close: () => Promise<void>;
}

export async function openLine(targetHost: string, targetPort: number): Promise<Line> {
  const sockets = new Set<Socket>();
  const track = (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
    return socket;
  };
  const server = createServer((near) => {
    const far = track(connect(targetPort, targetHost));
    track(near).pipe(far).pipe(near);
    near.on('close', () => far.destroy());
    far.on('close', () => near.destroy());
    near.setNoDelay(true);
    far.setNoDelay(true);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the line has no port');
  let closed: Promise<void> | undefined;
  const cut = () => {
    closed ??= new Promise<void>((resolve) => {
      server.close(() => resolve());
      for (const socket of sockets) socket.resetAndDestroy();
    });
    return closed;
  };
  const mute = () => {
    for (const socket of sockets) {
      socket.unpipe();
      // Not even the end of one side may reach the other.
      socket.removeAllListeners('close');
      socket.pause();
    }
    server.removeAllListeners('connection');
    server.on('connection', (socket) => track(socket).pause());
  };
  return { port: address.port, cut, mute, close: cut };
}
