import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { runIdOf } from '../../src/modules/scenario-runner/scenario-runner.port.js';
import type { ShownBuild, DatasetReading } from '../../src/app/client/dataset-api.js';
import { cli } from '../support/cli.js';
import { DECISION_ROLES, Door } from '../support/door.js';
import { eventually } from '../support/eventually.js';
import type { ScratchProfile } from '../support/profiles.js';

const RUN = runIdOf('live');
const PAYMENTS = 20;
const TRAFFIC = 'fp.bus.traffic.v1';

/** What is older than a second may go, once it is archived, which takes less. */
const SHORT = {
  env: {},
  introduce: (profile: ScratchProfile): readonly string[] => {
    const file = (name: string): string => join(profile.folder, 'policy', name);
    const [retention, archive] = [file('ops.retention.yaml'), file('ops.archive.yaml')];
    for (const topic of [TRAFFIC, 'fp.bus.control.v1'])
      profile.edit(retention, `topic: ${topic}, keep_ms: null`, `topic: ${topic}, keep_ms: 1000`);
    profile.edit(archive, 'chunk_age_ms: 30000', 'chunk_age_ms: 200');
    return [retention, archive];
  },
};

interface Line {
  readonly topic: string;
  readonly partition: number;
  readonly from: number;
  readonly to: number;
  readonly aged: number;
  readonly held_by: readonly { readonly by: string; readonly offset: number | null }[];
}
interface Shown {
  readonly job: { readonly state: string; readonly detail: { readonly code?: string; readonly says?: string } };
  readonly receipt?: {
    readonly outputs: { readonly partitions: readonly Line[]; readonly groups: readonly { role: string }[] };
  };
}

const OTHERS = DECISION_ROLES.filter((role) => role !== 'ofp').join(',');

describe.each([
  ['all roles in one process', ['all']],
  ['the feature plane in a process of its own', [OTHERS, 'ofp']],
])('the bus is trimmed while payments are decided, %s', (_, groups) => {
  const scratch = mkdtempSync(join(tmpdir(), 'probity-retention-'));
  const [consumers = 'all'] = groups.slice(-1);
  let door: Door;
  let ops = 0;
  let paid = 0;
  let before: string;

  beforeAll(async () => {
    door = await Door.open('embedded', groups, SHORT);
    await door.request({
      run_equivalence_key: 'live',
      strategy: 'AUTO',
      world: { kind: 'live', scenario_id: 'live', traffic: [{ event_type: 'transaction', schema_version: 'v1' }] },
    } as never);
    await door.settled(RUN);
    await pay(PAYMENTS);
    await door.decided(RUN, paid);
  }, 240_000);
  afterAll(async () => {
    await door.close();
    rmSync(scratch, { recursive: true, force: true });
  });

  const pay = async (count: number): Promise<void> => {
    const edge = await door.client('edge');
    for (const end = paid + count; paid < end; paid += 1) {
      const payment = { transaction_id: `t-${paid}`, occurred_at: new Date().toISOString(), amount: '12.50' };
      const { status, text } = await edge.post('/v1/transactions', {
        ...payment,
        ...{ currency: 'EUR', card_id: `card-${paid % 4}`, terminal_id: `till-${paid % 3}` },
      });
      if (status >= 300) throw new Error(text);
    }
  };
  const job = async (kind: string, scope: object = {}, limitMs = 60_000): Promise<Shown> => {
    const client = await door.client('ops');
    const op_id = `${kind}-${(ops += 1)}`;
    const { status, text } = await client.post('/v1/jobs', { op_id, kind, scope, purpose: 'a test' });
    if (status >= 300) throw new Error(text);
    return await eventually(
      async () => (await client.get(`/v1/jobs/${op_id}`)).body as Shown,
      ({ job: { state } }) => ['COMPLETED', 'FAILED'].includes(state),
      limitMs,
    );
  };
  /** The digest of the rows that are built of the same payments, from wherever they are read. */
  const built = async (source: string, until: string): Promise<unknown> => {
    const key = join(scratch, 'key');
    writeFileSync(key, door.key());
    const words = ['dataset', 'build', '--run', 'live', '--source', source, '--to', until];
    const { code, stdout, stderr } = await cli([
      ...words,
      ...['--url', await door.urlOf('ofs'), '--key-file', key, '--json'],
    ]);
    if (code !== 0) throw new Error(`${stdout}${stderr}`);
    const { manifest } = JSON.parse(stdout) as ShownBuild & DatasetReading;
    return manifest.built.materialisations.map(({ ref, rows }) => [ref.digest.hex, rows]);
  };

  it('what everybody has read and the archive has goes, and a dataset of it is the same byte for byte', async () => {
    before = new Date().toISOString();
    const fromBus = await built('bus', before);
    expect((await job('drain', { within_ms: 60_000 }, 90_000)).job).toMatchObject({ state: 'COMPLETED', detail: {} });
    const lines = await eventually(
      async () => (await job('retention_apply')).receipt?.outputs.partitions ?? [],
      (all) => all.filter(({ topic, to }) => topic === TRAFFIC && to > 0).length >= 3,
      60_000,
    );
    // Nothing went that a consumer had not read: by now each has read all of it.
    expect(lines.some(({ topic }) => topic === 'fp.bus.audit.v1')).toBe(true);
    expect(await built('auto', before)).toEqual(fromBus);
    // The twin: the bus alone does not have it any more.
    await expect(built('bus', new Date().toISOString())).rejects.toThrow('OFS_REPLAY_BASIS_GAP');
  }, 180_000);

  it('consumers that were killed go on behind what was trimmed, without a gap', async () => {
    await door.kill(consumers);
    await door.start(consumers);
    await pay(PAYMENTS);
    await door.decided(RUN, paid);
    const drained = await job('drain', {}, 90_000);
    expect(drained.job.state).toBe('COMPLETED');
    const roles = drained.receipt?.outputs.groups.map(({ role }) => role);
    expect(roles).toEqual(['al', 'cases', 'df', 'dla', 'ieg', 'labels', 'ofp', 'wsp']);
    expect(Object.values(await door.decided(RUN, paid)).reduce((sum, count) => sum + count, 0)).toBe(paid);
  }, 180_000);

  if (groups.length > 1)
    it('while a role is stopped nothing goes, and a drain is late and names it', async () => {
      await door.kill('ofp');
      await pay(2);
      const { receipt } = await job('retention_apply');
      const lines = receipt?.outputs.partitions.filter(({ topic }) => topic === TRAFFIC) ?? [];
      expect(lines.every(({ from, to }) => from === to)).toBe(true);
      expect(lines.flatMap(({ held_by }) => held_by).some(({ by }) => by.startsWith('ofp (RPC_'))).toBe(true);
      const late = await job('drain', { within_ms: 2_000 });
      expect(late.job).toMatchObject({ state: 'FAILED', detail: { code: 'OPS_DRAIN_LATE' } });
      expect(late.job.detail.says).toContain('ofp could not be asked');
      await door.start('ofp');
      expect((await job('drain', {}, 90_000)).job.state).toBe('COMPLETED');
    }, 180_000);
});
