import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { scratchDataFolder } from '../support/data-folder.js';
import { eventually } from '../support/eventually.js';
import { Http } from '../support/http.js';
import { Program } from '../support/program.js';

interface Answered {
  readonly minor_units: number;
  readonly deposits: number;
  readonly answered_by_pid: number;
}

/** Two processes with different roles on one data folder, talking through bus and HTTP; either may die. */
describe('each role in a process of its own, on one data folder', () => {
  const data = scratchDataFolder('processes');
  let teller: Program;
  let ledger: Program;
  let operator: Http;

  const open = async (program: Program): Promise<Http> =>
    new Http(await program.url(), readFileSync(join(data, 'keys', 'operator.key'), 'utf8').trim());

  const deposit = async (id: string, account: string): Promise<number> =>
    (await operator.post('/test/v1/deposits', { deposits: [{ deposit_id: id, account, minor_units: 100 }] })).status;

  const balanceBecomes = async (account: string, deposits: number): Promise<Answered> =>
    await eventually(
      async () => (await operator.get(`/test/v1/balances/${account}`)).body as Answered,
      (balance) => balance.deposits === deposits,
      30_000,
    );

  beforeAll(async () => {
    // Started together on an empty folder: one makes database, keys and schemas, the other joins.
    teller = new Program({ role: 'teller', data });
    ledger = new Program({ role: 'ledger', data });
    [operator] = await Promise.all([open(teller), open(ledger)]);
  });

  afterAll(async () => {
    await Promise.all([teller.end('SIGKILL'), ledger.end('SIGKILL')]);
    rmSync(data, { recursive: true, force: true });
  });

  it('talk through the bus and over HTTP', async () => {
    expect(await deposit('p1', 'anna')).toBe(200);
    const answered = await balanceBecomes('anna', 1);
    expect(answered).toMatchObject({ minor_units: 100, answered_by_pid: ledger.pid });
  });

  it('SIGKILL of the ledger leaves the teller working; a new ledger goes on where the old one stood', async () => {
    await ledger.end('SIGKILL');
    expect(await deposit('p2', 'anna')).toBe(200);
    const refused = await operator.get('/test/v1/balances/anna');
    expect(refused.body).toMatchObject({ status: 503, code: 'RPC_UNAVAILABLE', retryable: true });
    ledger = new Program({ role: 'ledger', data });
    await ledger.url();
    expect(await balanceBecomes('anna', 2)).toMatchObject({ minor_units: 200, answered_by_pid: ledger.pid });
  });

  it('SIGKILL of the teller leaves the ledger working', async () => {
    const own = await open(ledger);
    await teller.end('SIGKILL');
    const balance = await own.post('/rpc/ledger/balance', { account: 'anna' });
    expect([balance.status, balance.body]).toMatchObject([200, { deposits: 2 }]);
    expect((await own.get('/health/ready')).status).toBe(200);
    teller = new Program({ role: 'teller', data });
    operator = await open(teller);
    expect(await deposit('p3', 'anna')).toBe(200);
    expect(await balanceBecomes('anna', 3)).toMatchObject({ minor_units: 300 });
  });

  it('SIGKILL of the database is repaired by whoever runs; what was acknowledged is there, a retry counts once', async () => {
    process.kill(databasePid(data), 'SIGKILL');
    // The client's own retry, with the same id: it may be refused, it may have been taken and not answered.
    await eventually(
      async () => await deposit('p4', 'anna'),
      (status) => status === 200,
      30_000,
    );
    expect(await balanceBecomes('anna', 4)).toMatchObject({ minor_units: 400 });
    const ready = async (): Promise<number> => (await operator.get('/health/ready')).status;
    expect(await eventually(ready, (status) => status === 200, 30_000)).toBe(200);
  });

  it('Ctrl-C ends each in order and leaves no process, the last one not even a database', async () => {
    for (const program of [teller, ledger]) {
      const { code } = await program.end('SIGINT');
      expect(code).toBe(0);
    }
    await eventually(() => processesOf(data).length === 0, Boolean, 10_000);
    expect(processesOf(data)).toEqual([]);
  });
});

/** Processes whose command line names the folder, by /proc; elsewhere the check has nothing to look at. */
function processesOf(folder: string): readonly string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => commandOf(pid))
    .filter((command) => command.includes(folder));
}

/** The server itself, not one of its workers: their command lines do not name the folder. */
function databasePid(folder: string): number {
  const pid = readdirSync('/proc').find(
    (name) => /^\d+$/.test(name) && /postgres -D/.test(commandOf(name)) && commandOf(name).includes(folder),
  );
  if (pid === undefined) throw new Error('no database runs on this folder');
  return Number(pid);
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}
