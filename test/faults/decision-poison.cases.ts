import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { DecisionAnswer } from '../../src/modules/decision-fabric/decision-fabric.service.js';
import type { PostureRow } from '../../src/modules/degrade-ladder/degrade-ladder.store.js';
import { asTopicName } from '../../src/rails/eb-ref.js';
import type { Posture } from '../../src/rails/events/posture.schema.js';
import type { RunPins } from '../../src/rails/pins.js';
import { Door, importedRun } from '../support/door.js';
import { eventually } from '../support/eventually.js';
import { handbookFile } from '../support/handbook-file.js';
import { type Inside, openInside } from '../support/inside.js';

const ROWS = 400;
const TRAFFIC = asTopicName('fp.bus.traffic.v1');
const CONTROL = asTopicName('fp.bus.control.v1');

/** What nobody can read. Admission lets none of it in; a broken writer past the gate might. */
const GARBAGE: readonly (string | Buffer)[] = [
  '{"broken',
  Buffer.from([0xff, 0xfe, 0x00, 0x80]),
  'null',
  '[]',
  '{"event_id":7,"event_type":"transaction"}',
  // Deeper than anybody's stack.
  '['.repeat(200_000),
];

interface FeatureStatus {
  readonly runs: readonly {
    readonly pins: RunPins;
    readonly integrity: 'CLEAN' | 'DEGRADED';
    readonly invalid_records: number;
  }[];
}

/** Poison on every partition of both topics, before, between and behind sound records: told, counted, passed by, and the posture sees it. */
export function poisonSuite(flavour: 'embedded' | 'real', groups: readonly string[]): void {
  describe('a record that nobody can read', () => {
    let door: Door;
    let inside: Inside;
    let file: { readonly run: string; readonly pins: RunPins };
    let live: RunPins;
    let payments = 0;

    beforeAll(async () => {
      door = await Door.open(flavour, groups);
      inside = await openInside(flavour === 'embedded' ? door.data : null);
      // Before anything is READY: labels and worlds start from what stands behind it.
      await poison(CONTROL, GARBAGE);
      const { run_id } = await importedRun(door, handbookFile(ROWS, 31), `poison-${randomBytes(4).toString('hex')}`);
      file = { run: run_id, pins: await pinsOf(run_id) };
      const asked = await door.request({
        run_equivalence_key: 'live',
        world: {
          kind: 'live',
          scenario_id: `live-${randomBytes(4).toString('hex')}`,
          traffic: [{ event_type: 'transaction', schema_version: 'v1' }],
        },
        strategy: 'AUTO',
      } as never);
      live = await pinsOf(asked.run_id);
      await modeIs('NORMAL');
    }, 150_000);
    afterAll(async () => {
      await inside.close();
      await door.close();
    });

    async function pinsOf(run: string): Promise<RunPins> {
      const settled = await door.settled(run);
      expect(settled).toMatchObject({ state: 'READY' });
      return settled.pins;
    }

    async function poison(topic: typeof TRAFFIC, values: readonly (string | Buffer)[]): Promise<void> {
      const producer = await inside.bus.openProducer({ name: `poison-${randomBytes(4).toString('hex')}` });
      const partitions = await inside.bus.partitionsOf(topic);
      const records = values.map((value) => ({ key: null, value: Buffer.from(value as string), headers: {} }));
      await producer.append(Array.from({ length: partitions }, (_, partition) => ({ topic, partition, records })));
      await producer.close();
    }

    async function counted(role: string, metric: RegExp): Promise<number> {
      const { text } = await (await door.client(role)).get('/metrics');
      return text
        .split('\n')
        .filter((line) => metric.test(line))
        .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
    }

    const posture = async (): Promise<Posture | null> =>
      ((await (await door.client('dl')).get('/v1/posture')).body as { posture: Posture | null }).posture;
    const modeIs = async (mode: string): Promise<Posture | null | undefined> =>
      await eventually(posture, (one) => one?.mode === mode, 60_000);

    /** Changes of the posture that a signal was the cause of. */
    async function causedBy(signal: string): Promise<readonly Posture[]> {
      const { body } = await (await door.client('dl')).get('/v1/posture/history?limit=100');
      return (body as { changes: readonly PostureRow[] }).changes
        .map(({ posture: one }) => one)
        .filter(({ triggers }) => triggers.some((trigger) => trigger.signal === signal));
    }

    async function integrity(): Promise<ReadonlyMap<string, { integrity: string; invalid_records: number }>> {
      const status = (await (await door.client('ofp')).get('/v1/features/status')).body as FeatureStatus;
      return new Map(status.runs.map(({ pins, ...rest }) => [pins.run_id, rest]));
    }

    async function decided(): Promise<DecisionAnswer> {
      payments += 1;
      const { body } = await (
        await door.client('df')
      ).post('/v1/decisions', {
        transaction: {
          transaction_id: `p-${payments}`,
          occurred_at: '2026-01-31T12:00:00Z',
          amount: '1.00',
          currency: 'EUR',
          card_id: `card-${payments}`,
        },
        deadline_ms: 10_000,
      });
      return body as DecisionAnswer;
    }

    it('is told and counted by everybody who reads traffic, and the posture leaves NORMAL for as long as such records come', async () => {
      await eventually(decided, ({ outcome, timed_out }) => outcome === 'APPROVE' && !timed_out, 60_000);
      expect(await causedBy('decisions.unreadable')).toEqual([]);
      const partitions = await inside.bus.partitionsOf(TRAFFIC);
      const [ofpInvalid, onControl] = [/^ofp_records_total\{[^}]*outcome="INVALID"/, GARBAGE.length];
      const before = (await inside.bus.partitionsOf(CONTROL)) * onControl;
      await eventually(
        () => counted('ofp', ofpInvalid),
        (count) => count === before,
        30_000,
      );
      await poison(TRAFFIC, GARBAGE);
      const all = partitions * GARBAGE.length;
      const seen = (role: string, metric: RegExp, count: number): Promise<number> =>
        eventually(
          () => counted(role, metric),
          (found) => found >= count,
          30_000,
        );
      expect(await seen('df', /^df_invalid_total[ {]/, all)).toBe(all);
      expect(await seen('ofp', ofpInvalid, before + all)).toBe(before + all);
      expect(await seen('al', /^al_intents_total\{[^}]*found="REFUSED"/, all)).toBe(all);
      const [first] = await eventually(
        () => causedBy('decisions.unreadable'),
        (found) => found.length > 0,
        30_000,
      );
      expect(first).toMatchObject({ mode: 'DEGRADED_1', mask: { action_posture: 'STEP_UP_ONLY' } });
      // Nothing of any run was lost by it: what was seen is over, and the ladder climbs again.
      await modeIs('NORMAL');
      expect([...(await integrity()).values()].every((run) => run.integrity === 'CLEAN')).toBe(true);
    }, 120_000);

    it('on the control topic stops neither labels nor worlds: a file behind it is streamed, decided and labelled', async () => {
      await poison(CONTROL, ['{"broken']);
      await door.stream(file.run);
      // And in the middle of it.
      await poison(TRAFFIC, ['{"broken']);
      expect(await door.streamed(file.run)).toMatchObject({ state: 'COMPLETED', sent: ROWS });
      const outcomes = await door.decided(file.run, ROWS);
      expect(Object.values(outcomes).reduce((a, b) => a + b, 0)).toBe(ROWS);
      const reconciliation = await door.carriedOut(file.run, ROWS + (outcomes['QUEUE'] ?? 0));
      expect(reconciliation).toMatchObject({ admitted: ROWS, on_bus: ROWS, reconciled: true });
      const labels = await eventually(
        async () => (await (await door.client('labels')).get(`/v1/runs/${file.run}/labels`)).body as { state: string },
        ({ state }) => state === 'DONE',
        30_000,
      );
      expect(labels).toMatchObject({ state: 'DONE' });
      expect(await door.verified({ run_id: file.run })).toMatchObject({
        compared: ROWS,
        equal: ROWS,
        not_made_again: 0,
      });
    }, 150_000);

    it('of one run marks the integrity of that run, and keeps the posture down', async () => {
      await modeIs('NORMAL');
      const envelope = {
        ...live,
        event_id: randomBytes(16).toString('hex'),
        event_type: 'transaction',
        schema_version: 'v1',
        producer: 'nobody',
        ts_utc: '2026-01-31T11:00:00.000000Z',
        // No amount: nothing that is summed can be right any more.
        payload: { transaction_id: 'poison', currency: 'EUR', card_id: 'card-1' },
      };
      const producer = await inside.bus.openProducer({ name: 'poison-of-a-run' });
      await producer.append([
        {
          topic: TRAFFIC,
          partition: 0,
          records: [{ key: null, value: Buffer.from(JSON.stringify(envelope)), headers: {} }],
        },
      ]);
      await producer.close();
      const marked = await eventually(integrity, (runs) => runs.get(live.run_id)?.integrity === 'DEGRADED', 30_000);
      expect(marked.get(live.run_id)).toMatchObject({ integrity: 'DEGRADED', invalid_records: 1 });
      expect(marked.get(file.run)).toMatchObject({ integrity: 'CLEAN', invalid_records: 0 });
      const now = await modeIs('DEGRADED_1');
      expect(now?.triggers).toMatchObject([{ signal: 'features.integrity' }]);
      const answer = await eventually(decided, ({ decision }) => decision?.features.status === 'USED', 60_000);
      expect(answer).toMatchObject({ outcome: 'STEP_UP', timed_out: false });
      expect(answer.decision).toMatchObject({
        posture: { status: 'USED', mode: 'DEGRADED_1', posture_seq: now?.posture_seq },
        reason_codes: ['CAPABILITY_BLOCK:action_posture'],
      });
    }, 120_000);

    if (flavour === 'embedded')
      it('stands in the table of each unit that reads traffic, with its place and its reason', async () => {
        const partitions = await inside.bus.partitionsOf(TRAFFIC);
        const each = partitions * (GARBAGE.length + 1);
        const df = await inside.administrate('select reason, count(*)::integer as n from df.invalid group by reason');
        expect(df).toEqual([{ reason: 'MALFORMED_ENVELOPE', n: each }]);
        const al = await inside.administrate(
          'select reason, count(*)::integer as n from actions.refused group by reason',
        );
        expect(al).toEqual([{ reason: 'ENVELOPE_PARSE_FAILED', n: each }]);
        // With the next checkpoint, which is as old as five seconds at the most.
        const ofp = await eventually(
          () =>
            inside.administrate(
              `select reason, count(*)::integer as n from ofp.invalid where topic = '${TRAFFIC}' group by reason order by reason`,
            ),
          (rows) => rows.length === 2,
          30_000,
        );
        expect(ofp).toEqual([
          { reason: 'MALFORMED_ENVELOPE', n: each },
          { reason: 'PAYLOAD_UNUSABLE', n: 1 },
        ]);
      }, 60_000);
  });
}
