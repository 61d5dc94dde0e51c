import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import { EmbeddedDatabaseServer } from '../../src/substrate/database/embedded/embedded.server.js';
import { Launcher } from '../../src/substrate/database/embedded/launcher.js';
import { isProbityError } from '../../src/rails/errors/probity-error.js';

/**
 * A process that shares an embedded server: says in one line of JSON how it got in, answers each line of its input with
 * a query, and leaves at the end of its input. Arguments: folder, and a fixed port if there is to be one.
 */
const [folder = '', port] = process.argv.slice(2);

function say(word: object): void {
  process.stdout.write(`${JSON.stringify(word)}\n`);
}

try {
  const startedMs = performance.now();
  const launcher = new Launcher({
    folder,
    clock: new SystemClock(),
    // These tests kill processes and not machines: what the system has been given it keeps.
    durable: false,
    ...(port === undefined ? {} : { port: Number(port) }),
  });
  const launched = await launcher.join();
  const tookMs = performance.now() - startedMs;
  const server = new EmbeddedDatabaseServer(launcher, launched, {
    dataFolder: folder,
    component: 'member',
    clock: new SystemClock(),
  });
  say({ how: launched.how, port: launched.address.port, postmasterPid: launched.postmasterPid, tookMs });
  process.stdin.on('data', () => {
    // Twice proven: as the administrator who migrates and as the role that asks.
    const health = server.migrate([]).then(() => server.health());
    void health.catch(() => ({ ok: false })).then(say);
  });
  process.stdin.on('end', () => {
    void server.close(8_000).then(() => process.exit(0));
  });
} catch (error) {
  say(isProbityError(error) ? { code: error.code, detail: error.detail } : { code: 'NONE', detail: String(error) });
  process.exit(1);
}
