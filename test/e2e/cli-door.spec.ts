import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { ApiClient } from '../../src/app/client/api-client.js';
import { DoorApi } from '../../src/app/client/door-api.js';
import { streamToEnd } from '../../src/app/client/journey.js';
import { openProgress } from '../../src/app/client/progress.js';
import { UNITS } from '../../src/app/units.js';
import { runIdOf } from '../../src/modules/scenario-runner/scenario-runner.port.js';
import { ManualClock } from '../../src/substrate/clock/manual.clock.js';
import { generateApiKey } from '../../src/substrate/identity/api-key.js';
import { cli, cliWith, type CliRun } from '../support/cli.js';
import { FakeDoor } from '../support/fake-door.js';

const COMMANDS = [
  'import',
  'world',
  'world generate',
  'world packs',
  'run',
  'run start',
  'run list',
  'run show',
  'run status',
  'stream',
  'reconcile',
  'ingest',
  'receipt',
  'quarantine',
  'quarantine list',
  'quarantine show',
  'quarantine release',
];

/** Time that passes exactly where somebody waits for it. */
class HastyClock extends ManualClock {
  override sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
    const slept = super.sleep(durationMs, signal);
    setImmediate(() => void this.advance(durationMs));
    return slept;
  }
}

/** The commands against the public routes alone, with a server that answers as a test wants it to. */
describe('the commands of the door', () => {
  const folder = mkdtempSync(join(tmpdir(), 'probity-cli-door-'));
  const file = join(folder, 'payments.csv');
  const keyFile = join(folder, 'key');
  let door: FakeDoor;

  beforeAll(() => {
    writeFileSync(file, 'id;amount\n1;2,00\n');
    writeFileSync(keyFile, generateApiKey('test').token);
  });
  beforeEach(async () => {
    door = await FakeDoor.open();
  });
  afterEach(async () => {
    await door.close();
  });
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  const through = async (words: readonly string[], stdin = ''): Promise<CliRun> =>
    await cli([...words, '--url', door.url, '--key-file', keyFile], UNITS, stdin);
  const importIt = ['import', file, '--preset', 'handbook'];

  it.each(COMMANDS)('helps with %s', async (command) => {
    const { code, stdout } = await cli([...command.split(' '), '--help']);
    expect(code).toBe(0);
    expect(stdout).toContain(`Usage: probity ${command}`);
    if (command.includes(' ') || !['world', 'run', 'quarantine'].includes(command)) {
      expect(stdout).toMatch(/Examples:\n {2}/);
      expect(stdout).toContain('Exit codes: 0');
    }
  });

  describe('import', () => {
    it('goes from the file to the reconciled table', async () => {
      door.troubles = { rows: 12, rejected: 2 };
      const { code, stdout } = await through(importIt);
      expect(stdout).toMatch(/rows in the file +12\n +rejected +2\n +sealed +10\n +sent \(pass 1\) +10\n/);
      expect(stdout).toMatch(/records on the bus +10\n +labels kept apart +7\nReconciled/);
      expect(code).toBe(0);
      expect(door.count('POST /v1/engine/sources')).toBe(1);
    });

    it('the second time uploads nothing and streams again', async () => {
      await through(importIt);
      const { code, stdout, stderr } = await through(importIt);
      expect(code).toBe(0);
      expect(door.count('POST /v1/engine/sources')).toBe(1);
      expect(door.count('POST /v1/runs')).toBe(1);
      expect(door.bodies).toContain('{"again":true}');
      expect(stdout).toMatch(/sent \(pass 2\) +10\n +admitted +0\n +duplicate +10\n/);
      expect(stderr).toContain('Pass 1 has ended');
    });

    it('takes another mapping or another name for another run, and the same for the same', async () => {
      const mapping = join(folder, 'mapping.yaml');
      writeFileSync(mapping, 'format: csv\ndelimiter: ";"\n');
      const runIdOf = async (words: readonly string[]): Promise<string> =>
        (JSON.parse((await through([...words, '--json'])).stdout) as { run: { run_id: string } }).run.run_id;
      const ids = [
        await runIdOf(['import', file, '--map', mapping]),
        await runIdOf(['import', file, '--map', mapping]),
        await runIdOf(['import', file, '--map', mapping, '--name', 'other']),
        await runIdOf(importIt),
      ];
      expect(new Set(ids).size).toBe(3);
      expect(ids[0]).toBe(ids[1]);
    });

    it('answers machines with one document and keeps standard error for problems', async () => {
      const { code, stdout, stderr } = await through([...importIt, '--json']);
      const answer = JSON.parse(stdout) as { reconciled: boolean; accounts: Record<string, number> };
      expect([answer.reconciled, stderr, code]).toEqual([true, '', 0]);
      expect(answer.accounts).toMatchObject({ rows_read: 10, sent: 10, records_on_bus: 10, labels_kept_apart: 7 });
    });

    it('exits 1 and lists the ids where the bus lacks what the ledger has', async () => {
      door.troubles = { lost: ['e-17'] };
      const { code, stdout } = await through(importIt);
      expect(code).toBe(1);
      expect(stdout).toContain('NOT reconciled');
      expect(stdout).toContain('admitted = records_on_bus: 10 = 9');
      expect(stdout).toMatch(/missing_on_bus +e-17/);
    });

    it('says why a run failed, by reason, and what to do', async () => {
      door.troubles = { gateFails: true, rows: 10, rejected: 4 };
      const { code, stdout } = await through(importIt);
      expect(code).toBe(1);
      expect(stdout).toMatch(/is FAILED: GATE_FAIL/);
      expect(stdout).toMatch(/TIME_INVALID +4\n {2}row 3: TIME_INVALID: no time\n/);
      expect(stdout).toContain('--dry-run');
      expect(stdout).toContain('correct the mapping');
      expect(door.calls.some((call) => call.includes('/stream'))).toBe(false);
    });

    it('puts a run in the place of a failed one only where a reason is given', async () => {
      door.troubles = { gateFails: true };
      await through(importIt);
      await through(importIt);
      expect(door.count('POST /v1/runs')).toBe(1);
      await through([...importIt, '--supersede', 'the disk was full']);
      const bodies = door.bodies.filter((body) => body.includes('run_equivalence_key'));
      const [first, second] = bodies.map((body) => JSON.parse(body) as Record<string, unknown>);
      expect(second?.['run_equivalence_key']).toBe(`${String(first?.['run_equivalence_key'])}/2`);
      expect(second?.['supersedes']).toMatchObject({ reason: 'the disk was full' });
    });

    it.each([
      ['FAILED', 'OBJECTS_DIGEST_MISMATCH'],
      ['PAUSED', 'QUARANTINE_SHARE_TOO_LARGE'],
    ] as const)('stops where the stream is %s, and says how to go on', async (state, code_) => {
      door.troubles = { streamStopsAs: { state, code: code_ } };
      const { code, stdout } = await through(importIt);
      expect(code).toBe(1);
      expect(stdout).toContain(`the stream is COMPLETED: ${state}`);
      expect(stdout).toMatch(/part-00001\.ndjson.*\n.*probity stream [0-9a-f]{32} --wait/);
    });

    it('waits for a stream that goes on by itself, but not for ever', async () => {
      await through([...importIt, '--no-stream']);
      const { run_equivalence_key: key } = JSON.parse(
        door.bodies.find((body) => body.includes('run_equivalence_key')) ?? '{}',
      ) as { run_equivalence_key: string };
      door.troubles = { streamStopsAs: { state: 'PAUSED', code: 'IG_LEDGER_UNHEALTHY' } };
      const clock = new HastyClock();
      const client = new ApiClient({ clock, signal: new AbortController().signal });
      const address = { url: door.url, key: readFileSync(keyFile, 'utf8') };
      const api = new DoorApi(client, () => Promise.resolve(address));
      const progress = openProgress(undefined, clock);
      const travel = { api, clock, progress, signal: new AbortController().signal, serves: () => true };
      const stream = await streamToEnd(travel, runIdOf(key), undefined);
      client.close();
      expect(stream.state).toBe('PAUSED');
      expect(clock.monotonicMs()).toBeGreaterThan(120_000);
    });

    it('leaves the world sealed with --no-stream', async () => {
      const { code, stdout } = await through([...importIt, '--no-stream']);
      expect(code).toBe(0);
      expect(stdout).toContain('is READY');
      expect(door.calls.some((call) => call.includes('/stream'))).toBe(false);
    });

    it('shows with --dry-run what it would make of the file, and exits 1 where rows are lost', async () => {
      door.troubles = { rows: 10, rejected: 3 };
      const { code, stdout } = await through([...importIt, '--dry-run']);
      expect(stdout).toMatch(/^1 +2026-01-01T00:00:00\.000000Z +t1 +123/m);
      expect(stdout).toContain('7 of 10 rows can be imported.');
      expect(stdout).toMatch(/TIME_INVALID: 3 rows\n {2}row 3: is no time/);
      expect(code).toBe(1);
      expect(door.count('POST /v1/runs')).toBe(0);
      door.troubles = {};
      expect((await through([...importIt, '--dry-run'])).code).toBe(0);
    });

    it('reads standard input', async () => {
      const { code } = await through(['import', '-', '--preset', 'handbook'], 'id;amount\n1;2,00\n');
      expect(code).toBe(0);
      expect(door.bodies).toContain('id;amount\n1;2,00\n');
    });

    it('bears with a door that is throttled for a while', async () => {
      door.troubles = { refusals: { 'POST /v1/runs': ['RPC_UNAVAILABLE', 'RPC_UNAVAILABLE'] } };
      const { code, stderr } = await through(importIt);
      expect(code).toBe(0);
      expect(stderr).toContain('trying again');
      expect(door.count('POST /v1/runs')).toBe(3);
    });

    it.each<[string, readonly string[], string]>([
      ['no mapping', ['import', file], 'either --preset NAME or --map'],
      ['two mappings', ['import', file, '--preset', 'handbook', '--map', 'm.yaml'], 'either --preset NAME or --map'],
      ['a file that is not there', ['import', `${file}.gone`, '--preset', 'handbook'], 'cannot be read (ENOENT)'],
      ['a preset that is not there', ['import', file, '--preset', 'handbok'], 'did you mean "handbook"?'],
      ['a pace that is none', [...importIt, '--pace', 'quick'], 'fast, realtime, or a factor'],
      ['a name that is none', [...importIt, '--name', 'My World'], 'lower-case'],
    ])('exits 2 at %s and says what to write', async (_what, words, says) => {
      const { code, stderr } = await through(words);
      expect(stderr).toContain(says);
      expect(code).toBe(2);
      expect(door.calls.filter((call) => call.startsWith('POST'))).toEqual([]);
    });
  });

  it('generates a world with changed values, and refuses values that the pack has not', async () => {
    const { code, stdout } = await through(['world', 'generate', '--set', 'days=3', '--seed', '7']);
    expect(code).toBe(0);
    expect(stdout).toContain('rows generated');
    const asked = JSON.parse(door.bodies.find((body) => body.includes('run_equivalence_key')) ?? '{}') as object;
    expect(asked).toMatchObject({
      world: { kind: 'generate', seed: '7', scenario_id: 'small', parameters: { days: 3 } },
    });
    const wrong = await through(['world', 'generate', '--set', 'dayz=3']);
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toContain('the pack has no "dayz"');
  });

  it('reconciles a run by its key, and exits 1 for one that was never streamed', async () => {
    await through([...importIt, '--no-stream']);
    const { run_equivalence_key } = JSON.parse(
      door.bodies.find((body) => body.includes('run_equivalence_key')) ?? '{}',
    ) as { run_equivalence_key: string };
    const reconciled = async (...words: readonly string[]) =>
      await through(['reconcile', '--run', run_equivalence_key, ...words]);
    const never = await reconciled('--to', 'bus');
    expect(never.code).toBe(1);
    expect(never.stdout).toContain('nothing of this run was ever streamed');
    await through(importIt);
    const onBus = await reconciled('--to', 'bus');
    expect([onBus.code, onBus.stdout.includes('decision')]).toEqual([0, false]);
    const whole = await reconciled('--to', 'outcome');
    expect(whole.stdout).toMatch(/decisions +10\n.*\n +intents +10\n +outcomes +10\n/);
    // Nobody asked the audit log, so nothing is said of leaves.
    expect(whole.stdout).toContain('every action its outcome.');
    expect(whole.code).toBe(0);
    const logged = await reconciled();
    expect(logged.stdout).toContain('every action its outcome, every record its leaf.');
    expect(logged.stdout).toMatch(/leaves of the audit log +40\n/);
    expect(logged.code).toBe(0);
    // Every decision of the run was lost: not the same as a run that nobody has to decide.
    door.troubles = { undecided: 10 };
    const lost = await reconciled('--to', 'outcome');
    expect(lost.code).toBe(1);
    expect(lost.stdout).toContain('events to decide = decisions: 10 = 0, undecided: 10');
    expect(lost.stdout).toContain('  undecided  t9\n');
    expect(lost.stdout).toContain('Does anybody run the role df?');
    door.troubles = { open: 1 };
    const open = await reconciled('--to', 'outcome');
    expect([open.code, open.stdout.includes('intents = outcomes: 10 = 9, intents_open: 1')]).toEqual([1, true]);
    expect(open.stdout).toContain('Ask again.');
    const wrong = await reconciled('--to', 'moon');
    expect([wrong.code, wrong.stderr.includes('bus, outcome, leaf')]).toEqual([2, true]);
  });

  it('asks ledger and bus alone of an open-ended run, where that is wanted', async () => {
    await through(['run', 'start', '--live', 'shop']);
    const { code, stdout } = await through(['reconcile', '--run', 'shop', '--to', 'bus', '--json']);
    const { equations } = JSON.parse(stdout) as { equations: { equation: string }[] };
    expect(equations.map(({ equation }) => equation)).toEqual([
      'admitted = records_on_bus',
      'ledger and bus hold the same events',
    ]);
    expect(code).toBe(0);
  });

  it('tells a run that is not there by its code and remedy', async () => {
    const { code, stderr } = await through(['run', 'status', 'nobody']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/SR_RUN_NOT_FOUND\. List the runs with probity run list/);
  });

  it('says which key is missing', async () => {
    const { code, stderr } = await cli(['run', 'list', '--url', door.url, '--key-file', join(folder, 'none')]);
    expect([code, stderr.includes('CONFIG_SECRET_MISSING')]).toEqual([2, true]);
  });

  describe('ingest', () => {
    const line = (n: number): string => `{"transaction_id":"t${n}"}`;
    const admit = '{"decision":"ADMIT","retryable":false}\n';

    it('sends every line once, sees to the open-ended run, and sums up', async () => {
      const { code, stdout } = await through(['ingest'], `${line(1)}\n\n${line(2)}\r\n${line(3)}`);
      expect(stdout).toMatch(/lines answered +3\n +admitted +3\n/);
      expect(code).toBe(0);
      const sent = door.bodies.filter((body) => body.includes('transaction_id')).join('');
      expect(sent).toBe(`${line(1)}\n${line(2)}\n${line(3)}\n`);
      expect(door.bodies.some((body) => body.includes('"run_equivalence_key":"live"'))).toBe(true);
    });

    it('names the line, the code and the place of each refusal, and exits 1', async () => {
      const refusal =
        '{"decision":"REFUSED","code":"EDGE_MAPPING_FAILED","at":"/amount","detail":"is a number","retryable":false}\n';
      door.troubles = { lineAnswers: [() => `${admit}${refusal}${admit}`] };
      const { code, stdout } = await through(['ingest'], `${line(1)}\n\n${line(2)}\n${line(3)}\n`);
      expect(stdout).toContain('line 3: EDGE_MAPPING_FAILED: /amount is a number');
      expect(code).toBe(1);
      door.troubles = { lineAnswers: [() => refusal] };
      const { stdout: json } = await through(['ingest', '--json'], line(1));
      expect(JSON.parse(json)).toMatchObject({
        lines: 1,
        refused: 1,
        refused_lines: [{ line: 1, detail: '/amount is a number' }],
      });
    });

    it('goes on from the line at which the door stopped, and sends none of the answered ones again', async () => {
      const stop = '{"decision":"REFUSED","code":"IG_PAUSED","detail":"paused","retryable":true,"retry_after_ms":1}\n';
      door.troubles = { lineAnswers: [() => `${admit}${stop}`] };
      const { code, stdout } = await through(['ingest'], `${line(1)}\n${line(2)}\n${line(3)}\n`);
      expect(code).toBe(0);
      expect(stdout).toMatch(/lines answered +3\n/);
      expect(door.bodies.at(-1)).toBe(`${line(2)}\n${line(3)}\n`);
    });

    it('sends a line that came before a long silence without waiting for the next', async () => {
      let push: (piece: Buffer | null) => void = () => undefined;
      const stdin = new Readable({ read: () => undefined });
      push = (piece) => void stdin.push(piece);
      const ended = cliWith(['ingest', '--envelopes', '--url', door.url, '--key-file', keyFile], UNITS, stdin);
      const answered = new Promise<void>((resolve) => {
        door.troubles = {
          lineAnswers: [
            () => {
              resolve();
              return admit;
            },
          ],
        };
      });
      push(Buffer.from(`${line(1)}\n`));
      await answered;
      push(null);
      const { code } = await ended;
      expect([code, door.count('POST /v1/events/batch')]).toEqual([0, 1]);
    });

    it('does not take fewer answers than lines for success', async () => {
      door.troubles = { lineAnswers: [() => admit] };
      const { code, stderr } = await through(['ingest'], `${line(1)}\n${line(2)}\n`);
      expect(code).toBe(1);
      expect(stderr).toContain('did not give each line an answer');
    });
  });
});
