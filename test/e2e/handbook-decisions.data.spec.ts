import { chmodSync, createReadStream, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createGunzip } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import type { ShownBuild } from '../../src/app/client/dataset-api.js';
import type { Verification } from '../../src/modules/decision-fabric/verification.service.js';
import type { Bundles } from '../../src/rails/decision/policy.schema.js';
import type { Rules } from '../../src/rails/decision/rules.schema.js';
import { digestText } from '../../src/rails/digest.js';
import type { Posture } from '../../src/rails/events/posture.schema.js';
import { type Bundle, bundleDigest } from '../../src/rails/model/bundle.schema.js';
import { cli } from '../support/cli.js';
import { Door, importedRun } from '../support/door.js';
import { compareWithOracle, openOracle } from '../support/handbook-oracle.js';
import { servedFeatures, type ServedFeatures } from '../support/handbook-served.js';
import { Http } from '../support/http.js';
import { type Inside, openInside } from '../support/inside.js';
import { ScratchProfile } from '../support/profiles.js';
import { Program } from '../support/program.js';

const FULL = process.env['PROBITY_FAULTS'] === 'full';
const LIMIT_MS = FULL ? 3_600_000 : 600_000;
const ROWS = FULL ? Infinity : 20_000;

/**
 * Card transactions that this project did not make (PROBITY_TEST_HANDBOOK names the file), all of them with PROBITY_FAULTS=full and the first ones
 * otherwise, decided by the platform as it is shipped, and every decision made again.
 */
describe('the decisions of the handbook file', () => {
  let door: Door;
  let inside: Inside;
  let run = '';
  let rows = 0;
  /** The file, as far as it is decided. */
  let source = '';
  let served: ServedFeatures;

  beforeAll(async () => {
    const file = process.env['PROBITY_TEST_HANDBOOK'] ?? '';
    if (file === '') throw new Error('set PROBITY_TEST_HANDBOOK to the file');
    const lines: string[] = [];
    for await (const line of createInterface({ input: createReadStream(file).pipe(createGunzip()) })) {
      if (line === '') continue;
      if (lines.length <= ROWS && !FULL) lines.push(line);
      rows += 1;
      if (rows > ROWS) break;
    }
    // The header is none.
    rows -= 1;
    door = await Door.open('embedded', ['all']);
    inside = await openInside(door.data);
    source = FULL ? file : join(door.data, 'first-rows.csv');
    if (!FULL) writeFileSync(source, `${lines.join('\n')}\n`);
    ({ run_id: run } = await importedRun(door, readFileSync(source), 'handbook'));
    expect(await door.settled(run, LIMIT_MS)).toMatchObject({ state: 'READY' });
    await polled<{ posture: Posture | null }>('dl', '/v1/posture', ({ posture }) => posture?.mode === 'NORMAL');
    const startedMs = performance.now();
    await door.stream(run);
    const summary = `/v1/decisions/summary?run=${run}`;
    [served] = await Promise.all([
      servedFeatures(inside.bus, await door.client('ofp'), run, rows),
      polled<{ decisions: number }>('df', summary, ({ decisions }) => decisions >= rows).then(() =>
        told('decided', rows, performance.now() - startedMs),
      ),
    ]);
  }, LIMIT_MS);
  afterAll(async () => {
    await inside.close();
    await door.close();
  });

  /** Asks now and then: what is asked counts rows, and the more there are the longer it takes and the less often it is asked. */
  async function polled<Body>(role: string, path: string, done: (body: Body) => boolean): Promise<Body> {
    const client = await door.client(role);
    for (;;) {
      const askedMs = performance.now();
      const body = (await client.get(path)).body as Body;
      if (done(body)) return body;
      await new Promise((resolve) => setTimeout(resolve, Math.max(500, 20 * (performance.now() - askedMs))));
    }
  }

  async function verified(request: object, client?: Http): Promise<Verification> {
    const df = client ?? (await door.client('df'));
    const asked = await df.post('/v1/verifications', { run_id: run, ...request });
    if (asked.status >= 300) throw new Error(asked.text);
    const { verification_id: id } = asked.body as Verification;
    for (;;) {
      const found = (await df.get(`/v1/verifications/${id}`)).body as Verification;
      if (found.state !== 'RUNNING') return found;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }

  /** What was served, made again by a process of the shadow from the log. */
  async function rebuilt(...words: readonly string[]): Promise<{ readonly code: number; readonly found: ShownBuild }> {
    const command = ['dataset', 'build', '--run', run, '--parity', ...words, '--data', door.data, '--json'];
    const { code, stdout, stderr } = await cli(command);
    if (stdout === '') throw new Error(stderr);
    return { code, found: JSON.parse(stdout) as ShownBuild };
  }

  it(
    'are one per transaction, and each comes out the same, byte for byte, when it is made again from the bus',
    async () => {
      const { outcomes } = await polled<{ outcomes: Record<string, number> }>(
        'df',
        `/v1/decisions/summary?run=${run}`,
        () => true,
      );
      expect(Object.values(outcomes).reduce((a, b) => a + b, 0)).toBe(rows);
      const found = await verified({});
      told('verified', found.compared, found.took_ms);
      expect(found).toMatchObject({ state: 'DONE', compared: rows, equal: rows, not_made_again: 0 });
      expect(found.first_difference).toBeUndefined();
    },
    LIMIT_MS,
  );

  it(
    'stand on features that equal an independent computation, as the feature plane serves them after gate and bus',
    async () => {
      const oracle = await openOracle(source);
      const { compared, off, ties } = await compareWithOracle(oracle, (id) => served.of(id));
      // The twin: what was served about another payment is off, whatever else is equal.
      const crossed = await compareWithOracle(oracle, (id) => served.of(id === 1_000 ? 1_001 : id));
      oracle.close();
      const tied = [...new Set(ties.map(({ id }) => id))];
      process.stdout.write(
        `${compared} served features compared; ${tied.length} differ by the order within a second: ${tied.join(', ')}\n`,
      );
      expect([compared, off]).toEqual([rows, []]);
      expect(tied.length).toBeLessThan(Math.max(5, compared / 10_000));
      expect(new Set(crossed.off.map(({ id }) => id))).toEqual(new Set([1_000]));
    },
    LIMIT_MS,
  );

  it(
    'are rebuilt offline: every decision has the hash that it was served with',
    async () => {
      const { code, found } = await rebuilt();
      const { outcome, decisions, match, not_served } = found.build.detail.parity ?? {};
      const degraded = Object.values(not_served ?? {}).reduce((sum, count) => sum + count, 0);
      process.stdout.write(`parity: ${String(match)} rebuilt as served, ${degraded} served without features\n`);
      expect({ code, outcome, decisions }).toEqual({ code: 0, outcome: 'MATCH', decisions: rows });
      expect((match ?? 0) + degraded).toBe(rows);
      expect(match).toBeGreaterThan(0.9 * rows);
    },
    LIMIT_MS,
  );

  it(
    'with one event changed on the bus, the decision about it is the first that differs, made again and rebuilt',
    async () => {
      // As the owner of the table, whom neither grant nor trigger stops.
      const [record] = await inside.administrate(
        `select r.topic_id, r.partition, r.record_offset, convert_from(r.value, 'utf8') as text from bus.records r
         join bus.topics t using (topic_id) where t.name = 'fp.bus.traffic.v1'
         and position('"event_type":"transaction"' in convert_from(r.value, 'utf8')) between 1 and 200
         order by record_offset offset $1 limit 1`,
        [Math.floor(Math.min(rows, 20_000) / 3)],
      );
      const text = String(record?.['text']);
      const { event_id } = JSON.parse(text) as { event_id: string };
      const place = [record?.['topic_id'], record?.['partition'], record?.['record_offset']];
      const put = async (value: string): Promise<void> => {
        const hex = Buffer.from(value).toString('hex');
        const [topic, partition, offset] = place.map(Number);
        await inside.administrate(
          `set role probity_owner; update bus.records set value = '\\x${hex}'
           where topic_id = ${topic} and partition = ${partition} and record_offset = ${offset}`,
        );
      };
      const changed = text.replace(/"amount_minor":(\d+)/, (_, amount) => `"amount_minor":${Number(amount) + 1}`);
      expect(changed).not.toBe(text);
      await put(changed);
      const found = await verified({});
      expect(found).toMatchObject({ state: 'DONE', compared: rows, not_made_again: 0 });
      expect(found.equal).toBeLessThan(rows);
      expect(found.first_difference).toMatchObject({ event_id });
      // Another plan, so that it is another build: there is no payment before that day.
      const offline = await rebuilt('--from', '2018-01-01T00:00:00Z');
      expect({ code: offline.code, parity: offline.found.build.detail.parity }).toMatchObject({
        code: 1,
        parity: { outcome: 'MISMATCH' },
      });
      await put(text);
      expect(await verified({})).toMatchObject({ compared: rows, equal: rows });
    },
    LIMIT_MS,
  );

  it(
    'with one rule changed, exactly those come out otherwise that it speaks of, and the first is named with its place',
    async () => {
      const { body } = parse(readFileSync(join('profiles', 'local', 'policy', 'df.rules.yaml'), 'utf8')) as {
        body: Rules;
      };
      const rules = JSON.parse(JSON.stringify(body)) as { lists: { rules: { id: string; when: string }[] }[] };
      for (const { rules: own } of rules.lists)
        for (const rule of own) if (rule.id === 'block.sanctioned_country') rule.when = 'event.transaction_id == "777"';
      const found = await verified({ counterfactual: { rules } });
      expect(found).toMatchObject({ state: 'DONE', kind: 'counterfactual', compared: rows, equal: 0 });
      expect(found.first_difference).toMatchObject({ at: expect.stringMatching(/^\/rules/) });
      const turned = Object.entries(found.outcomes).filter(([turn]) => new Set(turn.split('>')).size === 2);
      expect(turned).toEqual([[expect.stringMatching(/>DECLINE$/), 1]]);
    },
    LIMIT_MS,
  );

  it(
    'with a bundle of which one byte differs, nothing is scored at all; with a sound one the first that differs is named',
    async () => {
      const { bundles, coefficient } = aBundle();
      const df = await door.client('df');
      const spoiled = JSON.parse(JSON.stringify(bundles)) as { active: { bundle: { model: Record<string, unknown> } } };
      spoiled.active.bundle.model['intercept'] = coefficient + 0.001;
      const refused = await df.post('/v1/verifications', { run_id: run, counterfactual: { bundles: spoiled } });
      expect(refused.body).toMatchObject({
        code: 'DF_REQUEST_INVALID',
        detail: expect.stringContaining('/active/digest'),
      });
      const found = await verified({ counterfactual: { bundles } });
      expect(found).toMatchObject({ compared: rows, equal: 0 });
      expect(found.first_difference).toMatchObject({
        at: expect.stringMatching(/^\/(bundle|model|outcome|reason_codes)/),
      });
    },
    LIMIT_MS,
  );

  it.each([
    ['definition', 'ofp.features', 'name: hb_night', 'name: hb_nights'],
    ['rule', 'df.rules', 'features.card_count_1h >= 10', 'features.card_count_1h >= 11'],
  ] as const)(
    'under another %s in force each is made again under the one that it cites; where that was tampered with none is, and it is named',
    async (_, policy, from, to) => {
      const shipped = readFileSync(join(process.cwd(), 'profiles/local/policy', `${policy}.yaml`), 'utf8');
      const [, digest = ''] = /^content_digest: '([0-9a-f]{64})'$/m.exec(shipped) ?? [];
      const paths = readdirSync(door.data, { recursive: true, encoding: 'utf8' });
      const artifact = join(door.data, paths.find((path) => path.includes(`policies/${digest}.json`)) ?? 'nowhere');
      const profile = new ScratchProfile();
      const file = join(profile.folder, 'policy', `${policy}.yaml`);
      profile.edit(file, from, to);
      expect((await cli(['policy', 'seal', file])).code).toBe(0);
      await door.kill('all');
      const program = new Program({
        role: 'all',
        data: door.data,
        profile: profile.folder,
        main: 'product',
        words: ['--no-demo'],
      });
      try {
        const key = readFileSync(join(door.data, 'keys', 'operator.key'), 'utf8').trim();
        const again = async (): Promise<Verification> => await verified({}, new Http(await program.url(), key));
        expect(await again()).toMatchObject({ state: 'DONE', compared: rows, equal: rows, not_made_again: 0 });
        const bytes = readFileSync(artifact);
        chmodSync(artifact, 0o640);
        writeFileSync(artifact, Buffer.from(bytes).fill('x', 40, 41));
        try {
          const found = await again();
          expect(found).toMatchObject({ state: 'DONE', compared: 0, equal: 0, not_made_again: rows });
          expect(found.first_not_made_again?.why).toContain(`OPS_ARTIFACT_TAMPERED: gov/policies/${digest}`);
        } finally {
          writeFileSync(artifact, bytes);
        }
      } finally {
        await program.end('SIGKILL');
        profile.remove();
      }
    },
    LIMIT_MS,
  );
});

function told(what: string, count: number, tookMs: number): void {
  process.stdout.write(
    `${what} ${count} in ${Math.round(tookMs / 100) / 10} s: ${Math.round((count * 1_000) / tookMs)}/s\n`,
  );
}

function aBundle(): { readonly bundles: Bundles; readonly coefficient: number } {
  const coefficient = -2;
  const bundle: Bundle = {
    bundle_id: 'handbook',
    bundle_version: 1,
    compatibility: { feature_groups: [], input_contract: 'transaction.v1' },
    lineage: { trained_on: 'nothing', recipe: 'by hand', dataset_digest: digestText('nothing') },
    model: {
      format: 'probity.linear.v1',
      intercept: coefficient,
      inputs: [
        { source: 'event', name: 'amount_minor', mean: 5_000, deviation: 5_000, weight: 0.5, weight_missing: 0 },
      ],
    },
  };
  return { bundles: { active: { digest: bundleDigest(bundle), bundle }, shadow: [] }, coefficient };
}
