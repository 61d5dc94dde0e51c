import { expect, it } from '@jest/globals';
import { type Receipt } from '../../src/modules/ingestion-gate/ingestion-gate.port.js';
import { eventContentDigest, asEnvelope, payloadHash } from '../../src/rails/envelope.js';
import { IDEMPOTENCY_CASES } from '../../src/rails/idempotency.cases.js';
import { partitionFor } from '../../src/substrate/bus/partition.core.js';
import { refusal } from '../../src/substrate/bus/contract/kit.js';
import { ManualClock } from '../../src/substrate/clock/manual.clock.js';
import { makeReady, putLiveRun, transactionEvent, transactionPayload } from '../support/run-facts.js';
import { asPolicy, by, POLICY, TestPolicies, TOPIC } from './ingestion-gate.kit.js';
import { type GateRig, sendUntilAnswered, textOf } from './ingestion-gate.rig.js';

/** Which events are admitted, once each, and what their receipts say. */
export function admissionCases({ ground, open, freshRun, ofRun, one, keyOf }: GateRig): void {
  it('admits a batch: records in order, keyed and canonical, receipts that cite what they must', async () => {
    const gate = await open();
    const run = await freshRun();
    const texts = Array.from({ length: 1_100 }, (_, number) =>
      transactionEvent(run, number, { trace_id: 'a'.repeat(32), span_id: 'b'.repeat(16) }),
    );
    const receipts = await gate.admit(
      texts.map((text) => ({ text })),
      by(),
    );
    expect(receipts.map(({ decision }) => decision)).toEqual(texts.map(() => 'ADMIT'));
    expect(new Set(receipts.map(({ eb_ref }) => `${eb_ref?.partition}/${eb_ref?.offset}`)).size).toBe(1_100);
    const records = await ofRun(run);
    expect(records).toHaveLength(1_100);
    const partitions = await ground().bus.partitionsOf(TOPIC);
    const byId = new Map(records.map((record) => [asEnvelope(JSON.parse(textOf(record))).event_id, record]));
    receipts.forEach((receipt, number) => {
      const record = byId.get(receipt.event_id ?? ('' as never));
      const envelope = asEnvelope(JSON.parse(texts[number] ?? ''));
      expect(record?.offset).toBe(receipt.eb_ref?.offset);
      expect(record?.key).toBe(receipt.partition_key);
      expect(receipt.eb_ref?.partition).toBe(partitionFor(record?.key ?? '', partitions));
      expect(JSON.parse(textOf(record))).toEqual(envelope);
      expect(receipt.payload_hash).toBe(payloadHash(envelope));
    });
    expect(receipts[0]).toMatchObject({
      principal: 'SYSTEM::edge',
      producer: 'payments-api',
      event_id: 'e-0',
      pins: run,
      partitioning_profile: 'payer.v1',
      policy_rev: { policy_id: 'ig.admission', revision: 1 },
      component_version: '1.2.3',
      env: 'test',
      eb_ref: { topic: TOPIC },
    });
    // Within a partition the records stand in the order in which they were submitted.
    const offsets = new Map<number, number>();
    for (const { eb_ref } of receipts) {
      if (eb_ref === undefined) throw new Error('a receipt of admission has no place');
      expect(eb_ref.offset).toBeGreaterThan(offsets.get(eb_ref.partition) ?? -1);
      offsets.set(eb_ref.partition, eb_ref.offset);
    }
  });

  it('gives every receipt again as it was given', async () => {
    const gate = await open();
    const run = await freshRun();
    const texts = [
      transactionEvent(run, 1),
      transactionEvent(run, 1),
      transactionEvent(run, 1, { payload: transactionPayload(2) }),
      transactionEvent(run, 3, { ts_utc: 'yesterday' }),
      '{',
      transactionEvent(run, 4, { seed: '99' }),
      transactionEvent(run, 5, { producer: 'wsp' }),
    ];
    const receipts = await gate.admit(
      texts.map((text) => ({ text })),
      by(),
    );
    expect(receipts.map(({ decision }) => decision)).toEqual([
      'ADMIT',
      'DUPLICATE',
      ...Array.from({ length: 5 }, () => 'QUARANTINE'),
    ]);
    for (const receipt of receipts) {
      expect(await gate.receipt(receipt.receipt_id)).toEqual(receipt);
      const entry = await gate.quarantined(receipt.receipt_id);
      if (receipt.decision === 'QUARANTINE') expect(entry).toEqual({ quarantine_id: receipt.receipt_id, receipt });
      else expect(entry).toBeNull();
    }
    expect(await gate.receipt('f'.repeat(64) as Receipt['receipt_id'])).toBeNull();
    expect(await gate.receiptsOfEvent('e-1', run.run_id)).toEqual([receipts[0]]);
    expect((await gate.receiptsOfEvent('e-1')).map(({ receipt_id }) => receipt_id)).toContain(receipts[0]?.receipt_id);
    expect(await gate.receiptsOfEvents(['e-4', 'e-1'], run.run_id)).toEqual([null, receipts[0]]);
    const page = await gate.quarantine({ limit: 3, run_id: run.run_id });
    expect(page.entries).toHaveLength(3);
    const rest = await gate.quarantine({ limit: 3, run_id: run.run_id, cursor: page.next_cursor ?? '' });
    // The one that was no JSON, and the one whose time was none, say of no run.
    expect([...page.entries, ...rest.entries].map(({ receipt }) => receipt.reason_codes[0])).toEqual([
      'PRODUCER_MISMATCH',
      'PIN_MISMATCH',
      'PAYLOAD_HASH_MISMATCH',
    ]);
    expect(rest.next_cursor).toBeUndefined();
  });

  it.each(IDEMPOTENCY_CASES.map((each) => [each.name, each] as const))(
    'keeps the table of outcomes: %s',
    async (_name, { batches, outcomes, stands }) => {
      const gate = await open();
      const run = await freshRun();
      const text = (identity: string, content: string) =>
        transactionEvent(run, 1, { event_id: identity, payload: transactionPayload(Number(content)) });
      for (const [index, batch] of batches.entries()) {
        const receipts = await gate.admit(
          batch.map(({ identity, content }) => ({ text: text(identity, content) })),
          by(),
        );
        const words = { ADMIT: 'NEW', DUPLICATE: 'DUPLICATE', QUARANTINE: 'CONFLICT' };
        expect(receipts.map(({ decision }) => words[decision])).toEqual(outcomes[index]);
      }
      const records = (await ofRun(run)).map((record) => asEnvelope(JSON.parse(textOf(record))));
      expect(records.map(({ event_id }) => event_id as string).sort()).toEqual(Object.keys(stands).sort());
      for (const envelope of records)
        expect(envelope.payload).toEqual(transactionPayload(Number(stands[envelope.event_id])));
    },
  );

  it('answers many parallel submissions of one event with one admission and its place', async () => {
    const gate = await open();
    const run = await freshRun();
    const receipts = await Promise.all(Array.from({ length: 40 }, () => one(gate, transactionEvent(run, 7))));
    const [admitted, ...others] = receipts.filter(({ decision }) => decision === 'ADMIT');
    expect(others).toEqual([]);
    for (const receipt of receipts) {
      expect(receipt.eb_ref).toEqual(admitted?.eb_ref);
      if (receipt.decision === 'DUPLICATE') expect(receipt.original_receipt_id).toBe(admitted?.receipt_id);
      expect(await gate.receipt(receipt.receipt_id)).toEqual(receipt);
    }
    expect(new Set(receipts.map(({ receipt_id }) => receipt_id)).size).toBe(40);
    expect(await ofRun(run)).toHaveLength(1);
  });

  it('takes another content or type under a taken id for a conflict, keeps both digests, and leaves the first alone', async () => {
    const gate = await open();
    const run = await freshRun();
    const first = await one(gate, transactionEvent(run, 1));
    const changed = transactionEvent(run, 1, { payload: transactionPayload(1, { amount_minor: 102 }) });
    const receipt = await one(gate, changed);
    expect(receipt).toMatchObject({ decision: 'QUARANTINE', reason_codes: ['PAYLOAD_HASH_MISMATCH'] });
    const evidence = receipt.quarantine?.evidence;
    if (evidence === undefined) throw new Error('there is no evidence');
    const line = JSON.parse((await ground().objects.read(evidence)).toString()) as Record<string, unknown>;
    const digestOf = (text: string) => eventContentDigest(asEnvelope(JSON.parse(text)));
    expect(line).toMatchObject({
      content_digest: digestOf(changed),
      standing_digest: digestOf(transactionEvent(run, 1)),
    });
    expect(await gate.receipt(first.receipt_id)).toEqual(first);
    expect((await one(gate, transactionEvent(run, 1))).eb_ref).toEqual(first.eb_ref);
    expect(await ofRun(run)).toHaveLength(1);
  });

  it('takes the same id in another run for another event', async () => {
    const gate = await open();
    const [one_, other] = [await freshRun(), await freshRun()];
    const receipts = await gate.admit(
      [one_, other].map((run) => ({ text: transactionEvent(run, 1) })),
      by(),
    );
    expect(receipts.map(({ decision }) => decision)).toEqual(['ADMIT', 'ADMIT']);
    expect(await gate.receiptsOfEvent('e-1', other.run_id)).toEqual([receipts[1]]);
  });

  it('cites exactly one revision in each receipt, whenever another comes into force', async () => {
    const strict = asPolicy({ ...POLICY, producers: { wsp: POLICY.producers['wsp'] } });
    const policies = new TestPolicies();
    // Another revision at every question: even ones refuse what odd ones admit.
    let revision = 1;
    const asked = policies.inForce.bind(policies);
    policies.inForce = () => {
      revision += 1;
      policies.activate(revision, revision % 2 === 0 ? strict : POLICY);
      return asked();
    };
    const gate = await open({ policies });
    const run = await freshRun();
    const receipts: Receipt[] = [];
    for (let round = 0; round < 12; round += 1) {
      const batch = Array.from({ length: 1 + (round % 4) }, (_, number) => transactionEvent(run, round * 100 + number));
      receipts.push(...(await gate.admit([...batch.map((text) => ({ text }))], by())));
      // So that judging does not always meet the same kind.
      if (round % 3 === 0) gate.ingress();
    }
    for (const { decision, reason_codes, policy_rev } of receipts) {
      const isStrict = policy_rev.revision % 2 === 0;
      expect([decision, ...reason_codes]).toEqual(isStrict ? ['QUARANTINE', 'PRODUCER_MISMATCH'] : ['ADMIT']);
    }
    expect(new Set(receipts.map(({ decision }) => decision)).size).toBe(2);
    policies.inForce = asked;
    policies.withdraw();
    await refusal(one(gate, transactionEvent(run, 1)), 'IG_POLICY_UNAVAILABLE');
  });

  it('admits an event of a run that became ready, once the gate has looked again', async () => {
    const clock = new ManualClock();
    const gate = await open({ clock });
    const key = keyOf('late');
    const run = await putLiveRun(ground().objects, { key, scenario: 'shop.web', state: 'REQUESTED' });
    const text = transactionEvent(run, 1);
    const early = await one(gate, text);
    expect(early).toMatchObject({ decision: 'QUARANTINE', reason_codes: ['RUN_NOT_READY'], retryable: true });
    await makeReady(ground().objects, run);
    // Within half a second the gate does not ask the store again.
    expect((await one(gate, text)).reason_codes).toEqual(['RUN_NOT_READY']);
    await clock.advance(501);
    expect((await one(gate, text)).decision).toBe('ADMIT');
    expect(await gate.quarantined(early.receipt_id)).toMatchObject({ receipt: early });
  });

  it('lets two gates at once admit each event once', async () => {
    const pair = await Promise.all([open(), open()]);
    const run = await freshRun();
    const texts = Array.from({ length: 300 }, (_, number) => transactionEvent(run, number));
    const submissions = pair.flatMap((gate, turn) =>
      Array.from({ length: 6 }, async (_, part) => {
        const mine = texts.slice(part * 50, part * 50 + 50);
        if (turn === 1) mine.reverse();
        return await sendUntilAnswered(gate, mine);
      }),
    );
    const receipts = (await Promise.all(submissions)).flat();
    const admitted = receipts.filter(({ decision }) => decision === 'ADMIT');
    expect(receipts.every(({ decision }) => decision !== 'QUARANTINE')).toBe(true);
    expect(new Set(admitted.map(({ event_id }) => event_id)).size).toBe(admitted.length);
    const places = new Map<string, Set<string>>();
    for (const { event_id, eb_ref } of receipts) {
      const held = places.get(event_id ?? '') ?? new Set();
      places.set(event_id ?? '', held.add(`${eb_ref?.partition}/${eb_ref?.offset}`));
    }
    expect(places.size).toBe(300);
    expect([...places.values()].every(({ size }) => size === 1)).toBe(true);
    expect(await ofRun(run)).toHaveLength(300);
  });
}
