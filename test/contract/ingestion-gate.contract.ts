import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { type AdmissionGate } from '../../src/modules/ingestion-gate/ingestion-gate.admission.js';
import { type Receipt } from '../../src/modules/ingestion-gate/ingestion-gate.port.js';
import { requestKey, readyKey, runKey } from '../../src/modules/scenario-runner/scenario-runner.port.js';
import { type JsonObject } from '../../src/rails/canonical-json.js';
import { eventContentDigest, asEnvelope, payloadHash } from '../../src/rails/envelope.js';
import { type ErrorCode, errorSpec } from '../../src/rails/errors/registry.js';
import { IDEMPOTENCY_CASES } from '../../src/rails/idempotency.cases.js';
import { type RunPins } from '../../src/rails/pins.js';
import { type Bus, type BusRecord } from '../../src/substrate/bus/bus.port.js';
import { partitionFor } from '../../src/substrate/bus/partition.core.js';
import { refusal } from '../../src/substrate/bus/contract/kit.js';
import { ManualClock } from '../../src/substrate/clock/manual.clock.js';
import { type Objects } from '../../src/substrate/objects/objects.port.js';
import { eventually } from '../support/eventually.js';
import { makeReady, putLiveRun, putSealedRun, transactionEvent, transactionPayload } from '../support/run-facts.js';
import { recordedTelemetry } from '../support/telemetry.js';
import {
  asPolicy,
  by,
  caller,
  type GateGround,
  type GateParts,
  onBus,
  openGate,
  POLICY,
  TestPolicies,
  TOPIC,
} from './ingestion-gate.kit.js';
import { failing, type Switch } from './ingestion-gate.stand-ins.js';

/** Unlike any other run's: stores outlive a run, and what another left there must not be met. */
const TAG = randomBytes(4).toString('hex');

/** What admission promises, over whatever it stands on. `bus` gives the bus of the ground as the lane under test sees it. */
export function gateContract(
  name: string,
  openGround: () => Promise<GateGround>,
  seen: (bus: Bus) => Bus = (bus) => bus,
): void {
  describe(`ingestion gate on ${name}`, () => {
    const grounds: GateGround[] = [];
    const gates: AdmissionGate[] = [];
    let runs = 0;

    beforeAll(async () => {
      grounds.push(await openGround());
    });
    afterEach(async () => {
      await Promise.all(gates.splice(0).map((gate) => gate.onModuleDestroy()));
    });
    afterAll(async () => {
      await Promise.all(grounds.map((ground) => ground.close()));
    });

    const ground = (): GateGround => {
      const [first] = grounds;
      if (first === undefined) throw new Error('there is no ground');
      return first;
    };
    const open = async (change: Partial<GateParts> = {}): Promise<AdmissionGate> => {
      const { bus, database, objects } = ground();
      const gate = await openGate({ bus: seen(bus), database, objects, ...change });
      gates.push(gate);
      return gate;
    };
    /** A run that no other case has. */
    const freshRun = async (scenario = 'shop.web'): Promise<RunPins> => {
      runs += 1;
      return await putLiveRun(ground().objects, {
        key: `${name} ${TAG} ${runs}`.replaceAll(' ', '-'),
        scenario,
      });
    };
    const ofRun = async (run: RunPins): Promise<readonly BusRecord[]> =>
      (await onBus(ground().bus)).filter((record) => textOf(record).includes(run.run_id));
    const one = async (gate: AdmissionGate, text: string, from = 'edge'): Promise<Receipt> => {
      const [receipt] = await gate.admit([{ text }], by(from));
      if (receipt === undefined) throw new Error('there is no receipt');
      return receipt;
    };

    it('admits a batch: records in order, keyed and canonical, receipts that cite what they must', async () => {
      const gate = await open();
      const run = await freshRun();
      const texts = Array.from({ length: 1_500 }, (_, number) =>
        transactionEvent(run, number, { trace_id: 'a'.repeat(32), span_id: 'b'.repeat(16) }),
      );
      const receipts = await gate.admit(
        texts.map((text) => ({ text })),
        by(),
      );
      expect(receipts.map(({ decision }) => decision)).toEqual(texts.map(() => 'ADMIT'));
      expect(new Set(receipts.map(({ eb_ref }) => `${eb_ref?.partition}/${eb_ref?.offset}`)).size).toBe(1_500);
      const records = await ofRun(run);
      expect(records).toHaveLength(1_500);
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
      expect((await gate.receiptsOfEvent('e-1')).map(({ receipt_id }) => receipt_id)).toContain(
        receipts[0]?.receipt_id,
      );
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

    describe('one row per reason', () => {
      interface ReasonCase {
        readonly reason: string;
        readonly stage: string;
        /** What of the event is kept: its bytes, or its digest alone. */
        readonly kept: 'raw' | 'digest';
        readonly text: (run: RunPins) => Promise<string> | string;
      }
      const change = (more: JsonObject, number = 1) => ({
        text: (run: RunPins) => transactionEvent(run, number, more),
      });
      const without = (...names: string[]) => ({
        text: (run: RunPins) => {
          const value = JSON.parse(transactionEvent(run, 1)) as Record<string, unknown>;
          return JSON.stringify(Object.fromEntries(Object.entries(value).filter(([each]) => !names.includes(each))));
        },
      });
      const sealed = (more: JsonObject, label: string) => ({
        text: async () => {
          const rows = [1, 2].map((number) => ({
            key: `k${number}`,
            ts_utc: '2026-01-01T00:00:00.000000Z',
            payload: transactionPayload(number),
          }));
          const labels = [{ key: 'k1', ts_utc: '2026-01-02T00:00:00.000000Z', is_fraud: true }];
          const run = await putSealedRun(objects(), {
            key: `sealed-${name}-${label}`.replaceAll(' ', '-'),
            scenario: 'shop.web',
            rows,
            labels,
          });
          return transactionEvent(run, 1, more);
        },
      });
      const objects = (): Objects => ground().objects;
      const payload = (more: JsonObject) => ({ payload: transactionPayload(1, more) });

      const cases: readonly ReasonCase[] = [
        {
          reason: 'PAYLOAD_TOO_LARGE',
          stage: 'size',
          kept: 'digest',
          text: (run) => transactionEvent(run, 1).padEnd(16_385),
        },
        {
          reason: 'ENVELOPE_INVALID',
          stage: 'parse',
          kept: 'raw',
          text: (run) => transactionEvent(run, 1).slice(0, -1),
        },
        {
          reason: 'ENVELOPE_INVALID',
          stage: 'parse',
          kept: 'raw',
          text: (run) => transactionEvent(run, 1).replace('{', '{"event_id":"e-2",'),
        },
        { reason: 'ENVELOPE_INVALID', stage: 'envelope', kept: 'raw', ...change({ extra: 1 }) },
        { reason: 'ENVELOPE_INVALID', stage: 'envelope', kept: 'raw', ...without('ts_utc') },
        { reason: 'PINS_INVALID', stage: 'envelope', kept: 'raw', ...change({ seed: '-1' }) },
        { reason: 'PINS_INVALID', stage: 'envelope', kept: 'raw', ...change({ manifest_fingerprint: '0'.repeat(64) }) },
        { reason: 'PRODUCER_MISMATCH', stage: 'producer', kept: 'digest', ...change({ producer: 'wsp' }) },
        { reason: 'PRODUCER_MISMATCH', stage: 'producer', kept: 'digest', ...without('producer') },
        { reason: 'POLICY_DENY', stage: 'allowlist', kept: 'digest', ...change({ event_type: 'decision' }) },
        { reason: 'EVENT_TYPE_UNKNOWN', stage: 'allowlist', kept: 'raw', ...change({ event_type: 'unheard_of' }) },
        { reason: 'SCHEMA_VERSION_MISSING', stage: 'payload', kept: 'raw', ...without('schema_version') },
        { reason: 'SCHEMA_UNKNOWN', stage: 'payload', kept: 'raw', ...change({ schema_version: 'v2' }) },
        { reason: 'SCHEMA_FAIL', stage: 'payload', kept: 'raw', ...change(payload({ amount_minor: 1.5 })) },
        { reason: 'SCHEMA_FAIL', stage: 'payload', kept: 'raw', ...change(payload({ amount_minor: 2 ** 53 })) },
        { reason: 'SCHEMA_FAIL', stage: 'payload', kept: 'raw', ...without('payload') },
        { reason: 'PINS_MISSING', stage: 'pins', kept: 'raw', ...without('parameter_hash') },
        { reason: 'PINS_MISSING', stage: 'pins', kept: 'raw', ...without('run_id') },
        {
          reason: 'PINS_MISSING',
          stage: 'pins',
          kept: 'raw',
          text: (run) => {
            const { event_id, payload: body } = JSON.parse(transactionEvent(run, 1)) as {
              event_id: string;
              payload: JsonObject;
            };
            return JSON.stringify({
              event_id,
              event_type: 'transaction',
              schema_version: 'v1',
              ts_utc: '2026-01-01T00:00:00.000000Z',
              manifest_fingerprint: '0'.repeat(64),
              producer: 'payments-api',
              payload: body,
            });
          },
        },
        { reason: 'PIN_MISMATCH', stage: 'run', kept: 'raw', ...change({ seed: '5' }) },
        { reason: 'PIN_MISMATCH', stage: 'run', kept: 'raw', ...change({ manifest_fingerprint: 'd'.repeat(64) }) },
        { reason: 'UNKNOWN_RUN', stage: 'run', kept: 'raw', ...change({ run_id: 'd'.repeat(32) }) },
        {
          reason: 'RUN_NOT_READY',
          stage: 'run',
          kept: 'raw',
          text: async () =>
            transactionEvent(
              await putLiveRun(objects(), {
                key: `${name}-unready`.replaceAll(' ', '-'),
                scenario: 'shop.web',
                state: 'REQUESTED',
              }),
              1,
            ),
        },
        {
          reason: 'JOIN_SURFACE_MISSING',
          stage: 'run',
          kept: 'raw',
          text: async () => {
            const pins = await putLiveRun(objects(), {
              key: `${name}-torn`.replaceAll(' ', '-'),
              scenario: 'shop.web',
              state: 'REQUESTED',
            });
            const facts_view = {
              locator: runKey(pins.run_id, 'facts_view.json'),
              digest: { algo: 'sha256', hex: 'e'.repeat(64) },
              size: 100,
              media_type: 'application/json',
            };
            const ready = Buffer.from(JSON.stringify({ pins, facts_view, message_id: 'e'.repeat(64) }));
            await objects().putIfAbsent(readyKey(pins.run_id), ready, { mediaType: 'application/json' });
            return transactionEvent(pins, 1);
          },
        },
        {
          reason: 'ROLE_NOT_TRAFFIC',
          stage: 'traffic',
          kept: 'raw',
          ...sealed(payload({ source: { output_id: 'labels', row: 0 } }), 'role'),
        },
        {
          reason: 'NOT_DECLARED_TRAFFIC_TARGET',
          stage: 'traffic',
          kept: 'raw',
          ...sealed(payload({ source: { output_id: 'invented', row: 0 } }), 'target'),
        },
        {
          reason: 'NOT_DECLARED_TRAFFIC_TARGET',
          stage: 'traffic',
          kept: 'raw',
          text: async () =>
            transactionEvent(
              await putLiveRun(objects(), {
                key: `${name}-undeclared`.replaceAll(' ', '-'),
                scenario: 'shop.web',
                traffic: [{ event_type: 'other' as never, schema_version: 'v1' as never }],
              }),
              1,
            ),
        },
        {
          reason: 'PARTITION_KEY_MISSING',
          stage: 'partition_key',
          kept: 'raw',
          text: (run) => {
            const { card_id: _card, ...rest } = transactionPayload(1);
            return transactionEvent(run, 1, { payload: rest });
          },
        },
        {
          reason: 'PAYLOAD_HASH_MISMATCH',
          stage: 'identity',
          kept: 'raw',
          text: async (run) => {
            const gate = await open();
            expect((await one(gate, transactionEvent(run, 1))).decision).toBe('ADMIT');
            return transactionEvent(run, 1, { ts_utc: '2026-02-01T00:00:00.000000Z' });
          },
        },
      ];

      it.each(cases.map((each, number) => [each.reason, each.stage, number, each] as const))(
        '%s at %s (row %i)',
        async (reason, stage, _number, { kept, text: textOfCase }) => {
          const gate = await open();
          const run = await freshRun();
          const text = await textOfCase(run);
          const before = (await onBus(ground().bus)).length;
          const receipt = await one(gate, text);
          expect(receipt).toMatchObject({ decision: 'QUARANTINE', reason_codes: [reason], quarantine: { stage } });
          expect(receipt.retryable).toBe(errorSpec(`IG_${reason}` as ErrorCode).retryable);
          expect(receipt.eb_ref).toBeUndefined();
          const raw = await gate.readEvidence(receipt.receipt_id, caller('auditor'), 'a test');
          expect(raw?.toString() ?? null).toBe(kept === 'raw' ? text : null);
          expect((await onBus(ground().bus)).length).toBe(before);
          expect(await gate.receipt(receipt.receipt_id)).toEqual(receipt);
        },
      );

      it('names every reason that the gate has', async () => {
        const { REASONS } = await import('../../src/modules/ingestion-gate/ingestion-gate.port.js');
        expect(new Set(cases.map(({ reason }) => reason))).toEqual(new Set(REASONS));
      });
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

    it('cites exactly one revision in each receipt while policies change', async () => {
      const policies = new TestPolicies();
      const gate = await open({ policies });
      const run = await freshRun();
      const strict = asPolicy({ ...POLICY, producers: { wsp: POLICY.producers['wsp'] } });
      const receipts: Receipt[] = [];
      for (let revision = 1; revision <= 6; revision += 1) {
        policies.activate(revision, revision % 2 === 0 ? strict : POLICY);
        const sending = Array.from({ length: 20 }, (_, number) =>
          one(gate, transactionEvent(run, revision * 100 + number)),
        );
        // Some are on their way when the next revision comes into force.
        if (revision < 6) policies.activate(revision + 1, revision % 2 === 0 ? POLICY : strict);
        receipts.push(...(await Promise.all(sending)));
      }
      expect(receipts).toHaveLength(120);
      for (const { decision, reason_codes, policy_rev } of receipts) {
        const isStrict = policy_rev.revision % 2 === 0;
        expect([decision, ...reason_codes]).toEqual(isStrict ? ['QUARANTINE', 'PRODUCER_MISMATCH'] : ['ADMIT']);
      }
      expect(new Set(receipts.map(({ policy_rev }) => policy_rev.revision)).size).toBeGreaterThan(1);
      policies.withdraw();
      await refusal(one(gate, transactionEvent(run, 1)), 'IG_POLICY_UNAVAILABLE');
    });

    it('admits an event of a run that became ready, once the gate has looked again', async () => {
      const clock = new ManualClock();
      const gate = await open({ clock });
      const key = `${name}-late-${TAG}`.replaceAll(' ', '-');
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

    it.each([
      ['ledger', 'DATABASE_UNAVAILABLE', 'IG_LEDGER_UNHEALTHY'],
      ['bus', 'BUS_UNAVAILABLE', 'IG_EB_UNHEALTHY'],
      ['objects', 'OBJECTS_UNAVAILABLE', 'IG_EVIDENCE_STORE_UNHEALTHY'],
    ] as const)(
      'promises nothing while the %s is down, and forgets nothing when it is back',
      async (what, code, told) => {
        const off: Switch = { code: undefined };
        const { bus, database, objects } = ground();
        const gate = await open({
          ...(what === 'ledger' ? { database: failing(database, off) } : {}),
          ...(what === 'bus' ? { bus: seen(failing(bus, off)) } : {}),
          ...(what === 'objects' ? { objects: failing(objects, off) } : {}),
        });
        const run = await freshRun();
        const texts = [transactionEvent(run, 1), transactionEvent(run, 2, { extra: 1 })];
        off.code = code;
        await refusal(
          gate.admit(
            texts.map((text) => ({ text })),
            by(),
          ),
          told,
        );
        // A run that nobody could look at is never taken for an unknown one, nor an event for a refused one.
        expect(await ofRun(run)).toEqual([]);
        off.code = undefined;
        expect((await gate.quarantine({ limit: 10, run_id: run.run_id })).entries).toEqual([]);
        const receipts = await gate.admit(
          texts.map((text) => ({ text })),
          by(),
        );
        expect(receipts.map(({ decision }) => decision)).toEqual(['ADMIT', 'QUARANTINE']);
        off.code = code;
        if (what !== 'objects') {
          await refusal(one(gate, transactionEvent(run, 3)), told);
          off.code = undefined;
          expect((await one(gate, transactionEvent(run, 3))).decision).toBe('ADMIT');
        } else {
          // The run is known by now, and an admission needs no object; a refusal does.
          expect((await one(gate, transactionEvent(run, 3))).decision).toBe('ADMIT');
          await refusal(one(gate, transactionEvent(run, 4, { extra: 1 })), told);
          off.code = undefined;
        }
        expect(await ofRun(run)).toHaveLength(2);
      },
    );

    it('keeps the digest alone where the policy says so', async () => {
      const gate = await open({ policies: new TestPolicies(asPolicy({ ...POLICY, quarantine: { keep_raw: false } })) });
      const run = await freshRun();
      const receipt = await one(gate, transactionEvent(run, 1, { extra: 'a secret' }));
      expect(await gate.readEvidence(receipt.receipt_id, caller('auditor'), 'a test')).toBeNull();
      const { evidence } = receipt.quarantine ?? {};
      if (evidence === undefined) throw new Error('there is no evidence');
      expect((await ground().objects.read(evidence)).toString()).not.toContain('a secret');
    });

    it('records who read evidence, and what for, and refuses to forget it', async () => {
      const gate = await open();
      const run = await freshRun();
      const { receipt_id } = await one(gate, transactionEvent(run, 1, { extra: 1 }));
      await gate.readEvidence(receipt_id, caller('auditor'), 'a complaint');
      const { database } = ground();
      const { rows } = await database.query(
        `select reader, key_id, purpose from evidence_reads where quarantine_id = decode($1, 'hex')`,
        [receipt_id],
      );
      expect(rows).toEqual([{ reader: 'SYSTEM::auditor', key_id: 'key-of-auditor', purpose: 'a complaint' }]);
      await refusal(
        gate.readEvidence('f'.repeat(64) as typeof receipt_id, caller('auditor'), 'x'),
        'IG_QUARANTINE_NOT_FOUND',
      );
      for (const table of ['admissions', 'intakes', 'duplicates', 'quarantines', 'supersessions', 'evidence_reads']) {
        await refusal(database.query(`delete from ${table}`), 'DATABASE_APPEND_ONLY', 'DATABASE_FORBIDDEN');
        const column = table === 'evidence_reads' ? 'purpose' : 'intake';
        await refusal(
          database.query(`update ${table} set ${column} = null`),
          'DATABASE_APPEND_ONLY',
          'DATABASE_FORBIDDEN',
        );
      }
    });

    it('notices evidence that is not what was put', async () => {
      const gate = await open();
      const run = await freshRun();
      const { receipt_id } = await one(gate, transactionEvent(run, 1, { extra: 1 }));
      const wrong: Objects = new Proxy(ground().objects, {
        get(target, property) {
          if (property === 'readRange') return () => Promise.resolve(Buffer.from('{"raw":"another event"}\n'));
          const value: unknown = Reflect.get(target, property, target);
          return typeof value === 'function' ? (value.bind(target) as unknown) : value;
        },
      });
      const other = await open({ objects: wrong });
      await refusal(other.readEvidence(receipt_id, caller('auditor'), 'x'), 'OBJECTS_DIGEST_MISMATCH');
    });

    it('lets a released or corrected event in by the same door, and tells what superseded the old one', async () => {
      const policies = new TestPolicies(asPolicy({ ...POLICY, producers: { wsp: POLICY.producers['wsp'] } }));
      const gate = await open({ policies });
      const run = await freshRun();
      const text = transactionEvent(run, 1);
      const old = await one(gate, text);
      expect(old.reason_codes).toEqual(['PRODUCER_MISMATCH']);
      policies.activate(2, POLICY);
      const [released] = await gate.admit([{ text, supersedes: old.receipt_id }], by());
      expect(released).toMatchObject({ decision: 'ADMIT', supersedes_ref: old.receipt_id });
      expect(await gate.quarantined(old.receipt_id)).toEqual({
        quarantine_id: old.receipt_id,
        receipt: old,
        superseded_by: released?.receipt_id,
      });
      expect(await gate.receipt(released?.receipt_id ?? old.receipt_id)).toEqual(released);
      // Released again: it is the same event.
      const [again] = await gate.admit([{ text, supersedes: old.receipt_id }], by());
      expect(again).toMatchObject({ decision: 'DUPLICATE', original_receipt_id: released?.receipt_id });
      // A correction has an id of its own and names the old one.
      const bad = await one(gate, transactionEvent(run, 2, { payload: transactionPayload(2, { amount_minor: -1 }) }));
      const correct = (more: JsonObject) => transactionEvent(run, 3, more);
      const [nameless] = await gate.admit([{ text: correct({}), supersedes: bad.receipt_id }], by());
      expect(nameless).toMatchObject({ decision: 'QUARANTINE', reason_codes: ['ENVELOPE_INVALID'] });
      const [corrected] = await gate.admit(
        [{ text: correct({ parent_event_id: 'e-2' }), supersedes: bad.receipt_id }],
        by(),
      );
      expect(corrected).toMatchObject({ decision: 'ADMIT', supersedes_ref: bad.receipt_id });
      expect((await gate.quarantined(bad.receipt_id))?.superseded_by).toBe(corrected?.receipt_id);
      const unknown = 'f'.repeat(64) as Receipt['receipt_id'];
      await refusal(gate.admit([{ text, supersedes: unknown }], by()), 'IG_QUARANTINE_NOT_FOUND');
    });

    it('slows a caller down that sends more than its rate, and nobody else', async () => {
      const clock = new ManualClock();
      const limits = { ...POLICY.limits, rate_per_s: 10 };
      const gate = await open({ clock, policies: new TestPolicies(asPolicy({ ...POLICY, limits })) });
      const run = await freshRun();
      const batch = Array.from({ length: 20 }, (_, number) => ({ text: transactionEvent(run, number) }));
      expect(await gate.admit(batch, by())).toHaveLength(20);
      const slowed = await refusal(gate.admit(batch, by()), 'IG_RATE_LIMITED');
      expect(slowed.data['retry_after_ms']).toBe(1_000);
      expect(await gate.admit(batch.slice(0, 1), by('wsp'))).toHaveLength(1);
      await clock.advance(1_001);
      expect(await gate.admit(batch, by())).toHaveLength(20);
    });

    it('closes the door before memory grows: throttled, then paused, then open again', async () => {
      const limits = { ...POLICY.limits, throttle_bytes: 5_000, pause_bytes: 20_000 };
      const gate = await open({ policies: new TestPolicies(asPolicy({ ...POLICY, limits })) });
      const run = await freshRun();
      const batch = (count: number) =>
        Array.from({ length: count }, (_, number) => ({ text: transactionEvent(run, number) }));
      expect(gate.ingress()).toEqual({ state: 'OPEN', retryAfterMs: 0 });
      // Nothing is awaited between these calls, so their bytes are waiting.
      const first = gate.admit(batch(15), by());
      await eventually(
        () => gate.ingress().state,
        (state) => state === 'THROTTLE',
      );
      await refusal(gate.admit(batch(1), by()), 'IG_RATE_LIMITED');
      await first;
      expect(gate.ingress().state).toBe('OPEN');
      const large = gate.admit(batch(60), by());
      await eventually(
        () => gate.ingress().state,
        (state) => state === 'PAUSE',
      );
      await refusal(gate.admit(batch(1), by()), 'IG_PAUSED');
      expect(await large).toHaveLength(60);
      expect(gate.ingress().state).toBe('OPEN');
    });

    it('gives up a call whose caller has gone before its turn', async () => {
      const gate = await open();
      const run = await freshRun();
      const controller = new AbortController();
      controller.abort();
      const gone = gate.admit([{ text: transactionEvent(run, 1) }], { ...by(), signal: controller.signal });
      await refusal(gone, 'RPC_CANCELLED');
      expect((await one(gate, transactionEvent(run, 2))).decision).toBe('ADMIT');
      expect(await ofRun(run)).toHaveLength(1);
    });

    it('finds ledger and bus equal, and names what differs when they are made to', async () => {
      const gate = await open();
      const run = await freshRun();
      const other = await freshRun();
      const texts = Array.from({ length: 120 }, (_, number) => transactionEvent(run, number));
      await gate.admit(
        [...texts, ...texts.slice(0, 7)].map((text) => ({ text })),
        by(),
      );
      await gate.admit([{ text: transactionEvent(run, 1, { extra: 1 }) }, { text: transactionEvent(other, 1) }], by());
      await gate.admit([{ text: transactionEvent(run, 1, { payload: transactionPayload(2) }) }], by());
      const reconciled = async () =>
        await eventually(
          () => gate.reconcile(run.run_id),
          ({ state }) => state === 'DONE',
          30_000,
        );
      const clean = await reconciled();
      expect(clean).toMatchObject({ admitted: 120, duplicate: 7, quarantined: 1, on_bus: 120, reconciled: true });
      const again = await reconciled();
      expect(again.set_digest).toBe(clean.set_digest);
      // Past the gate: one event twice, one that the ledger does not know, one of another content; and one row too many.
      const { bus } = ground();
      const producer = await bus.openProducer({ name: `stranger.${process.pid}` });
      const record = (text: string) => ({ key: 'k', value: Buffer.from(text), headers: {} });
      await producer.append([
        {
          topic: TOPIC,
          partition: 0,
          records: [record(texts[3] ?? ''), record(transactionEvent(run, 900))],
        },
      ]);
      await producer.close();
      await ground().administrate(`
        insert into ig.admissions (receipt_id, content_digest, payload_hash, record_offset, intake, ts_utc, run, kind,
          partition, event_id, partition_key)
        select sha256('planted'), a.content_digest, a.payload_hash, 0, a.intake, a.ts_utc, a.run, a.kind, 0, 'e-901',
          'k'
        from ig.admissions as a join ig.runs as r on r.run = a.run where r.run_id = '${run.run_id}' limit 1`);
      expect(await reconciled()).toMatchObject({
        admitted: 121,
        on_bus: 122,
        missing_on_bus: ['e-901'],
        not_in_ledger: ['e-900'],
        more_than_once_on_bus: ['e-3'],
        reconciled: false,
      });
    });

    it('tells its decisions: counters by producer, type and reason, a line per batch and per reason, no values', async () => {
      const telemetry = recordedTelemetry('ingestion-gate');
      const gate = await open({ telemetry });
      const run = await freshRun();
      await gate.admit(
        [
          transactionEvent(run, 1),
          transactionEvent(run, 1),
          transactionEvent(run, 2, { producer: 'Nobody-4711'.toLowerCase() }),
          transactionEvent(run, 3, { payload: transactionPayload(3, { currency: 'secret-4711' }) }),
          transactionEvent(run, 4, { payload: transactionPayload(4, { currency: 'secret-4711' }) }),
        ].map((text) => ({ text })),
        by(),
      );
      const batch = telemetry.lines().find(({ event, msg }) => event === 'ig_batch' || msg === 'ig_batch');
      expect(batch).toMatchObject({ admitted: 1, duplicate: 1, quarantined: 3, runs: [run.run_id] });
      const refused = telemetry
        .lines()
        .filter(({ event, msg }) => event === 'ig_quarantined' || msg === 'ig_quarantined');
      expect(refused.map(({ reason, count }) => [reason, count])).toEqual([
        ['PRODUCER_MISMATCH', 1],
        ['SCHEMA_FAIL', 2],
      ]);
      const metrics = await telemetry.metricsText();
      expect(metrics).toMatch(/ig_events[^\n]*decision="ADMIT"[^\n]*producer="payments-api"[^\n]* 1/);
      expect(metrics).toMatch(/ig_events[^\n]*reason="SCHEMA_FAIL"[^\n]* 2/);
      expect(metrics).toMatch(/ig_ingress_state[^\n]*state="OPEN"[^\n]* 1/);
      // What a stranger calls itself does not become a series, and no value becomes a word of the log.
      expect(metrics).not.toContain('nobody-4711');
      expect(telemetry.text()).not.toContain('secret-4711');
    });

    it('never takes a store that does not answer for a run that does not exist', async () => {
      const off: Switch = { code: 'OBJECTS_UNAVAILABLE' };
      const gate = await open({ objects: failing(ground().objects, off) });
      const run = await freshRun();
      await refusal(one(gate, transactionEvent(run, 1)), 'IG_EVIDENCE_STORE_UNHEALTHY');
      off.code = undefined;
      expect((await one(gate, transactionEvent(run, 1))).decision).toBe('ADMIT');
      expect(await ground().objects.head(requestKey(run.run_id))).not.toBeNull();
    });
  });
}

/** As a producer does: the same events again until they are answered. */
export async function sendUntilAnswered(gate: AdmissionGate, texts: readonly string[]): Promise<readonly Receipt[]> {
  return await eventually(
    async () => {
      try {
        return await gate.admit(
          texts.map((text) => ({ text })),
          by(),
        );
      } catch (error) {
        await refusal(Promise.reject(error as Error), 'IG_IN_PROGRESS', 'IG_EB_UNHEALTHY', 'IG_LEDGER_UNHEALTHY');
        return null;
      }
    },
    (receipts) => receipts !== null,
    30_000,
  ).then((receipts) => receipts ?? []);
}

function textOf(record: BusRecord | undefined): string {
  return record === undefined ? '{}' : Buffer.from(record.value).toString('utf8');
}
