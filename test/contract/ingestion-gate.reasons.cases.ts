import { describe, expect, it } from '@jest/globals';
import { readyKey, runKey } from '../../src/modules/scenario-runner/scenario-runner.port.js';
import { type JsonObject } from '../../src/rails/canonical-json.js';
import { type ErrorCode, errorSpec } from '../../src/rails/errors/registry.js';
import { type RunPins } from '../../src/rails/pins.js';
import { type Objects } from '../../src/substrate/objects/objects.port.js';
import { putLiveRun, putSealedRun, transactionEvent, transactionPayload } from '../support/run-facts.js';
import { caller, TOPIC } from './ingestion-gate.kit.js';
import { type GateRig } from './ingestion-gate.rig.js';

/** A row for each reason of refusal: what is kept of the event, and that nothing of it reaches the bus. */
export function reasonCases({ ground, open, freshRun, one, keyOf }: GateRig): void {
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
          key: keyOf(`sealed-${label}`),
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
              key: keyOf('unready'),
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
            key: keyOf('torn'),
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
              key: keyOf('undeclared'),
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
        const before = await ground().bus.marks(TOPIC);
        const receipt = await one(gate, text);
        expect(receipt).toMatchObject({ decision: 'QUARANTINE', reason_codes: [reason], quarantine: { stage } });
        expect(receipt.retryable).toBe(errorSpec(`IG_${reason}` as ErrorCode).retryable);
        expect(receipt.eb_ref).toBeUndefined();
        const raw = await gate.readEvidence(receipt.receipt_id, caller('auditor'), 'a test');
        expect(raw?.toString() ?? null).toBe(kept === 'raw' ? text : null);
        expect(await ground().bus.marks(TOPIC)).toEqual(before);
        expect(await gate.receipt(receipt.receipt_id)).toEqual(receipt);
      },
    );

    it('names every reason that the gate has', async () => {
      const { REASONS } = await import('../../src/modules/ingestion-gate/ingestion-gate.port.js');
      expect(new Set(cases.map(({ reason }) => reason))).toEqual(new Set(REASONS));
    });
  });
}
