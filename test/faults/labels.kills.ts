import { expect } from '@jest/globals';
import type { AssertResult } from '../../src/modules/label-store/assertion.schema.js';
import type { AsOf } from '../../src/modules/label-store/label-store.port.js';
import type { LedgerRow } from '../../src/modules/label-store/ledger.store.js';
import { edgeEventIdOf } from '../../src/modules/producer-edges/producer-edges.port.js';
import { runIdOf } from '../../src/modules/scenario-runner/scenario-runner.port.js';
import { asTopicName } from '../../src/rails/eb-ref.js';
import type { Label } from '../../src/rails/events/label.schema.js';
import { readEvent } from '../../src/rails/events/read-event.js';
import { Door } from '../support/door.js';
import { eventually } from '../support/eventually.js';
import { openInside } from '../support/inside.js';
import { seeded } from '../support/kafka-log.js';
import { recordsOf } from '../support/single-pass.js';
import { killed, pause, type Victim } from './door.kills.js';

export interface LabelKillPlan {
  readonly flavour: 'embedded' | 'real';
  readonly seed: number;
  readonly kills: number;
}

const ROLES = ['engine', 'sr', 'ig', 'edge', 'labels'] as const;
const RUN = runIdOf('live');
const CONTROL = asTopicName('fp.bus.control.v1');
const PAYMENTS = 20;
const BATCH = 10;
const eventOf = (n: number): string => edgeEventIdOf('payments-api', `p-${n % PAYMENTS}`);

/** What one reader was told as of a time. */
interface Told {
  readonly question: object;
  readonly answers: string;
}

/**
 * Two writers say the same labels over and over until they are answered, and a reader asks as of now, while the label store, the gate and the
 * servers are killed. At the end each label stands once under the number that was answered, numbers have no gap, the control topic has each, and
 * no answer that was given has changed.
 */
export async function labelUnderKills({ flavour, seed, kills }: LabelKillPlan): Promise<void> {
  const random = seeded(seed);
  const door = await Door.open(flavour, ROLES);
  const victims: readonly Victim[] = [
    ...(['labels', 'labels', 'ig', 'database'] as const),
    ...(flavour === 'real' ? (['broker'] as const) : []),
  ];
  try {
    await payments(door);
    const ended = { now: false };
    const acked = new Map<string, AssertResult>();
    const told: Told[] = [];
    const work = [writer(door, ended, acked), writer(door, ended, acked), reader(door, ended, told)];
    for (let kill = 0; kill < kills; kill += 1) {
      await pause(random() * 700);
      await killed(door, victims[kill % victims.length] ?? 'labels');
    }
    ended.now = true;
    await Promise.all(work);
    await demandLedger(door, flavour, acked);
    expect(told.length).toBeGreaterThan(0);
    const labels = await door.client('labels');
    for (const { question, answers } of told) {
      const { body } = await labels.post('/v1/labels/as-of', question);
      expect(JSON.stringify((body as AsOf).answers)).toBe(answers);
    }
  } finally {
    await door.close();
  }
}

async function payments(door: Door): Promise<void> {
  await door.request({
    run_equivalence_key: 'live',
    strategy: 'AUTO',
    world: { kind: 'live', scenario_id: 'live', traffic: [{ event_type: 'transaction', schema_version: 'v1' }] },
  } as never);
  await door.settled(RUN);
  const edge = await door.client('edge');
  for (let n = 0; n < PAYMENTS; n += 1) {
    const payment = {
      transaction_id: `p-${n}`,
      occurred_at: new Date().toISOString(),
      amount: '1.00',
      currency: 'EUR',
    };
    const { status, text } = await edge.post('/v1/transactions', { ...payment, card_id: 'c' });
    if (status >= 300) throw new Error(text);
  }
  await eventually(
    async () => (await (await door.client('labels')).get(`/v1/runs/${RUN}/labels`)).status,
    (status) => status === 200,
    30_000,
  );
}

/** Batch after batch, each until every label of it is answered for good; both writers use the same handles. */
async function writer(door: Door, ended: { readonly now: boolean }, acked: Map<string, AssertResult>): Promise<void> {
  for (let batch = 0; !ended.now; batch += 1) {
    const handles = Array.from({ length: BATCH }, (_, n) => batch * BATCH + n);
    const labels = handles.map((n) => ({
      run_id: RUN,
      namespace: 'analyst',
      target: { kind: 'EVENT', event_id: eventOf(n) },
      label_type: 'fraud_disposition',
      label_value: n % 3 === 0 ? 'LEGIT_CONFIRMED' : 'FRAUD_CONFIRMED',
      handle: `h-${n}`,
    }));
    const results = await answered<{ results?: readonly AssertResult[] }>(
      door,
      '/v1/labels',
      { labels },
      (body) => body.results?.every(({ outcome }) => outcome !== 'REJECTED') === true,
    );
    handles.forEach((n, index) => {
      const result = results.results?.[index];
      if (result === undefined) throw new Error('one result per label');
      const before = acked.get(`h-${n}`);
      // Whoever asks first or second, it is one label.
      if (before !== undefined)
        expect([result.label_id, result.ledger_seq]).toEqual([before.label_id, before.ledger_seq]);
      acked.set(`h-${n}`, result);
    });
  }
}

async function reader(door: Door, ended: { readonly now: boolean }, told: Told[]): Promise<void> {
  for (let n = 0; !ended.now; n += 1) {
    const question = {
      run_id: RUN,
      targets: [{ kind: 'EVENT', event_id: eventOf(n) }],
      label_type: 'fraud_disposition',
      rule_id: 'last_word',
      as_of_utc: new Date().toISOString().replace('Z', '000Z'),
    };
    const body = await answered<{ answers?: AsOf['answers'] }>(
      door,
      '/v1/labels/as-of',
      question,
      ({ answers }) => answers !== undefined,
    );
    told.push({ question, answers: JSON.stringify(body.answers) });
    await pause(20);
  }
}

/** Through every failure on the way. */
async function answered<Body>(door: Door, path: string, request: object, done: (body: Body) => boolean): Promise<Body> {
  const body = await eventually(
    async () => {
      try {
        const answer = await (await door.client('labels')).post(path, request);
        return answer.status === 200 ? (answer.body as Body) : undefined;
      } catch {
        return undefined;
      }
    },
    (one) => one !== undefined && done(one),
    120_000,
  );
  if (body === undefined) throw new Error('never answered');
  return body;
}

async function demandLedger(
  door: Door,
  flavour: LabelKillPlan['flavour'],
  acked: ReadonlyMap<string, AssertResult>,
): Promise<void> {
  const labels = await door.client('labels');
  const rows: LedgerRow[] = [];
  for (let cursor: string | undefined = '0'; cursor !== undefined;) {
    const page = (await labels.get(`/v1/labels?limit=500&cursor=${cursor}`)).body as {
      labels: LedgerRow[];
      next_cursor?: string;
    };
    rows.push(...page.labels);
    cursor = page.next_cursor;
  }
  expect(rows.map(({ seq }) => seq)).toEqual(rows.map((_, index) => index + 1));
  expect(rows).toHaveLength(acked.size);
  const standing = new Map(rows.map(({ seq, label }) => [label.label_id as string, seq]));
  for (const { label_id = '', ledger_seq } of acked.values()) expect(standing.get(label_id)).toBe(ledger_seq);
  const inside = await openInside(flavour === 'embedded' ? door.data : null);
  try {
    const facts = await eventually(
      async () => (await recordsOf(inside.bus, CONTROL)).flatMap(({ record }) => labelOf(record.value) ?? []),
      (found) => new Set(found.map(({ label_id }) => label_id)).size >= rows.length,
      60_000,
    );
    expect(new Set(facts.map(({ label_id }) => label_id as string))).toEqual(new Set(standing.keys()));
    // Where log and database are one, a fact is told once whoever dies; elsewhere a batch may be told again under the same ids.
    if (flavour === 'embedded') expect(facts).toHaveLength(rows.length);
  } finally {
    await inside.close();
  }
}

function labelOf(value: Uint8Array): Label | undefined {
  const read = readEvent(Buffer.from(value.buffer, value.byteOffset, value.byteLength));
  if (!read.ok || read.event.eventType !== 'label' || read.event.envelope.run_id !== RUN) return undefined;
  return read.event.payload as unknown as Label;
}
