import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import type { GateId } from '../../src/rails/gate.js';
import type { ScenarioId, Seed } from '../../src/rails/pins.js';
import type { EventType, SchemaVersion } from '../../src/rails/envelope.schema.js';
import { type GenerateInvocation, outputScope, worldPinsOf } from '../../src/modules/data-engine/data-engine.port.js';
import {
  readyKey,
  readyMessageId,
  requestKey,
  runIdOf,
  runKey,
  type RunReady,
  type RunRequest,
} from '../../src/modules/scenario-runner/scenario-runner.port.js';
import { Objects } from '../../src/substrate/objects/objects.port.js';
import { ProbityError } from '../../src/rails/errors/probity-error.js';
import { BASELINE, labelRows, putWorld, type Tampering, trafficRows } from '../support/world-builder.js';
import { eventually } from '../support/eventually.js';
import {
  ask,
  ended,
  eventNames,
  gaveUp,
  type Ground,
  makes,
  noEngine,
  openRunner,
  requestOf,
  type Runner,
  type RunnerOptions,
  running,
  ScriptedEngine,
  signalsOf,
  statusOf,
} from './scenario-runner.kit.js';

export interface RunnerHarness extends Ground {
  /** Another store, with nothing in it. */
  readonly second: Objects;
  close(): Promise<void>;
}

/** One suite over every ground that the unit may stand on. Worlds differ by seed, so that no test sees another's. */
export function scenarioRunnerContract(name: string, open: () => Promise<RunnerHarness>): void {
  describe(`scenario runner on ${name}`, () => {
    let ground: RunnerHarness;

    beforeAll(async () => {
      ground = await open();
    });
    afterAll(async () => {
      await ground.close();
    });

    /** Stops before the next test, so that each run is advanced by the runner of its own test alone. */
    const using = async (
      options: RunnerOptions & { readonly objects?: Objects },
      work: (runner: Runner) => Promise<void>,
    ): Promise<void> => {
      const { objects = ground.objects } = options;
      const opened = openRunner({ ...ground, objects }, options);
      try {
        await work(opened);
      } finally {
        await opened.stop();
      }
    };
    const freshKey = (): string => `test/${randomBytes(8).toString('hex')}`;
    const freshWorld = (): GenerateInvocation => ({
      ...BASELINE,
      seed: randomBytes(7).readUIntBE(0, 6).toString() as Seed,
    });
    const liveWorld = (scenario = 'live'): RunRequest['world'] => ({
      kind: 'live',
      scenario_id: scenario as ScenarioId,
      traffic: [{ event_type: 'transaction' as EventType, schema_version: 'v1' as SchemaVersion }],
    });
    const bytesUnder = async (runId: string, rest: string): Promise<string> => {
      const ref = await ground.objects.head(runKey(runId, rest));
      if (ref === null) throw new Error(`${rest} is not there`);
      return (await ground.objects.read(ref)).toString('utf8');
    };

    it('makes a world, proves it, and says READY once, in the right order', async () => {
      await using({ engine: makes(ground.objects) }, async (sr) => {
        const world = freshWorld();
        const request = requestOf(freshKey(), { world });
        const first = await ask(sr, request);
        expect(first.state).toBe('OPEN');
        const status = await ended(sr, first.run_id);
        expect(status).toMatchObject({ state: 'READY', reasons: [], attempts: 1, kind: 'generate' });
        expect(status.pins).toEqual({ ...worldPinsOf(world), run_id: runIdOf(request.run_equivalence_key) });

        const facts = await sr.service.facts(first.run_id);
        expect(facts).toMatchObject({
          pins: status.pins,
          counts: { rows_read: 25, rows_sealed: 25, rows_rejected: 0 },
          window: { first_ts_utc: '2018-04-01T00:00:31.000000Z', last_ts_utc: '2018-04-01T00:00:55.000000Z' },
          traffic: [{ event_type: 'transaction', schema_version: 'v1', output_id: 'transactions' }],
          policy_rev: { policy_id: 'sr.gates', revision: 1 },
          plan: status.plan,
        });
        expect(facts.outputs.map(({ output_id }) => output_id)).toEqual(['transactions', 'labels']);
        expect(facts.gate_receipts.map(({ status: verdict }) => verdict)).toEqual(['PASS', 'PASS']);

        const ready = JSON.parse(await bytesUnder(first.run_id, 'ready.json')) as RunReady;
        const messageId = readyMessageId(first.run_id, ready.facts_view.digest.hex);
        expect(ready).toEqual({ pins: status.pins, facts_view: status.facts_view, message_id: messageId });
        expect(status.message_id).toBe(messageId);
        const signals = await signalsOf(ground.bus, first.run_id);
        expect(signals.map(({ envelope }) => envelope)).toEqual([
          {
            event_id: messageId,
            event_type: 'sr.ready',
            schema_version: 'v1',
            producer: 'sr',
            ts_utc: status.requested_at_utc,
            ...status.pins,
            payload: { message_id: messageId, facts_view: status.facts_view },
          },
        ]);
        expect(await eventNames(sr, first.run_id)).toEqual([
          'RUN_ACCEPTED',
          'LEASE_ACQUIRED',
          'POLICY_RESOLVED',
          'PLAN_COMMITTED',
          'ENGINE_ATTEMPT_START',
          'ENGINE_ATTEMPT_FINISH',
          'EVIDENCE_COMPLETE',
          'FACTS_VIEW_COMMITTED',
          'READY_COMMITTED',
          'READY_PUBLISHED',
        ]);
        const record = JSON.parse(await bytesUnder(first.run_id, 'record.json')) as { events: { event: string }[] };
        expect(record.events.at(-1)?.event).toBe('READY_COMMITTED');
        expect(await ground.objects.head(runKey(first.run_id, 'failed.json'))).toBeNull();
        const metrics = await sr.telemetry.metricsText();
        expect(metrics).toMatch(/sr_runs_ended_total\{[^}]*state="READY",reason="none"\} 1/);
        expect(metrics).toMatch(/sr_worlds_total\{[^}]*how="made"[^}]*\} 1/);
      });
    });

    it('takes a world that is sealed already without asking the engine', async () => {
      const world = freshWorld();
      await putWorld(ground.objects, { rows: trafficRows(5), invocation: world });
      const engine = noEngine();
      await using({ engine }, async (sr) => {
        for (const strategy of ['AUTO', 'FORCE_REUSE'] as const) {
          const { run_id } = await ask(sr, requestOf(freshKey(), { world, strategy }));
          expect(await ended(sr, run_id)).toMatchObject({ state: 'READY', attempts: 0 });
          expect(await eventNames(sr, run_id)).toContain('WORLD_REUSED');
        }
        expect(engine.asked).toBe(0);
        expect(await sr.telemetry.metricsText()).toMatch(/sr_worlds_total\{[^}]*how="reused"[^}]*\} 2/);
      });
    });

    it('FORCE_INVOKE asks the engine although the world is sealed, and takes the same seal', async () => {
      const world = freshWorld();
      await putWorld(ground.objects, { rows: trafficRows(25), labels: labelRows(trafficRows(25)), invocation: world });
      const engine = makes(ground.objects, {}, 1);
      await using({ engine }, async (sr) => {
        const { run_id } = await ask(sr, requestOf(freshKey(), { world, strategy: 'FORCE_INVOKE' }));
        expect(await ended(sr, run_id)).toMatchObject({ state: 'READY', attempts: 1 });
        expect(engine.asked).toBe(1);
      });
    });

    it('quarantines a world that the engine makes otherwise the second time', async () => {
      const world = freshWorld();
      await putWorld(ground.objects, { rows: trafficRows(5), invocation: world });
      // The store keeps the first; the engine answers with the ref of what it would have put.
      await using({ engine: makes(ground.objects, { rows: trafficRows(6) }, 1) }, async (sr) => {
        const { run_id } = await ask(sr, requestOf(freshKey(), { world, strategy: 'FORCE_INVOKE' }));
        expect(await ended(sr, run_id)).toMatchObject({ state: 'QUARANTINED', reasons: ['EVIDENCE_CONFLICT'] });
        expect((await statusOf(sr, run_id)).detail).toContain('two materialisations');
      });
    });

    it('lists only the outputs that were asked for, and fails where the world has none such', async () => {
      const world = freshWorld();
      const rows = trafficRows(20);
      await putWorld(ground.objects, { rows, labels: labelRows(rows), invocation: world });
      await using({ engine: noEngine() }, async (sr) => {
        const some = await ask(sr, requestOf(freshKey(), { world, output_ids: ['transactions'] }));
        expect(await ended(sr, some.run_id)).toMatchObject({ state: 'READY' });
        const facts = await sr.service.facts(some.run_id);
        expect(facts.outputs.map(({ output_id }) => output_id)).toEqual(['transactions']);
        expect(facts.gate_receipts).toHaveLength(1);

        const none = await ask(sr, requestOf(freshKey(), { world, output_ids: ['transactions', 'rings'] }));
        const status = await ended(sr, none.run_id);
        expect(status).toMatchObject({ state: 'FAILED', reasons: ['UNBINDABLE_OUTPUT'] });
        expect(status.detail).toContain('rings');
      });
    });

    describe('evidence that is not as it must be never becomes READY', () => {
      const onlyReceipt = (key: string): boolean => key.endsWith('receipt.json');
      const cases: readonly (readonly [string, Tampering & { status?: 'SEALED_FAILED' }, string, string, string])[] = [
        ['a seal that says FAILED', { status: 'SEALED_FAILED' }, 'FAILED', 'GATE_FAIL', 'REJECTED_SHARE_TOO_LARGE'],
        ['a receipt that says FAIL', { receipt: (r) => ({ ...r, status: 'FAIL' }) }, 'FAILED', 'GATE_FAIL', 'FAIL'],
        [
          'a receipt of another scope',
          { receipt: (r, id) => ({ ...r, scope: { ...r.scope, output_id: `${id}_2` } }) },
          'QUARANTINED',
          'EVIDENCE_CONFLICT',
          'OTHER_SCOPE',
        ],
        [
          'a receipt of another world',
          {
            receipt: (r, id) => ({
              ...r,
              scope: outputScope(worldPinsOf({ ...BASELINE, scenario_id: 'other' as ScenarioId }), id),
            }),
          },
          'QUARANTINED',
          'EVIDENCE_CONFLICT',
          'OTHER_SCOPE',
        ],
        [
          'a receipt about other bytes',
          { index: (index) => ({ ...index, role: 'audit_evidence' }) },
          'QUARANTINED',
          'EVIDENCE_CONFLICT',
          'TAMPERED',
        ],
        [
          'a seal of another world',
          { seal: (seal) => ({ ...seal, pins: { ...seal.pins, seed: '99' as Seed } }) },
          'QUARANTINED',
          'EVIDENCE_CONFLICT',
          "the seal's pins",
        ],
        [
          'a receipt whose bytes were changed',
          { stored: (key, bytes) => (onlyReceipt(key) ? Buffer.from(`${bytes.toString()} `) : bytes) },
          'QUARANTINED',
          'EVIDENCE_CONFLICT',
          'the receipt of output',
        ],
        [
          'an index whose bytes were changed',
          { stored: (key, bytes) => (key.endsWith('index.json') ? Buffer.from(`${bytes.toString()} `) : bytes) },
          'QUARANTINED',
          'EVIDENCE_CONFLICT',
          'the index of output',
        ],
        [
          'a part whose bytes were changed',
          { stored: (key, bytes) => (key.endsWith('.ndjson') ? Buffer.from(`${bytes.toString()} `) : bytes) },
          'QUARANTINED',
          'EVIDENCE_CONFLICT',
          'other bytes',
        ],
        [
          'a missing receipt',
          { stored: (key, bytes) => (onlyReceipt(key) ? null : bytes) },
          'FAILED',
          'EVIDENCE_MISSING_DEADLINE',
          'MISSING',
        ],
        [
          'a missing part',
          { stored: (key, bytes) => (key.endsWith('.ndjson') ? null : bytes) },
          'FAILED',
          'EVIDENCE_MISSING_DEADLINE',
          'the part',
        ],
        [
          'a receipt of a gate that is no longer the one',
          { receipt: (r) => ({ ...r, gate_id: 'engine.output_v0' as GateId }) },
          'FAILED',
          'EVIDENCE_MISSING_DEADLINE',
          'OTHER_GATE',
        ],
      ];

      it.each(cases)('%s', async (_name, { status, ...tamper }, state, reason, finding) => {
        const world = freshWorld();
        await putWorld(ground.objects, {
          rows: trafficRows(3),
          invocation: world,
          tamper,
          ...(status === undefined ? {} : { status }),
        });
        await using({ engine: noEngine(), gates: { evidence_deadline_ms: 60 } }, async (sr) => {
          const { run_id } = await ask(sr, requestOf(freshKey(), { world }));
          const end = await ended(sr, run_id);
          expect(end).toMatchObject({ state, reasons: [reason] });
          expect(end.detail).toContain(finding);
          expect(end.facts_view).toBeUndefined();
          expect(await ground.objects.head(readyKey(run_id))).toBeNull();
          expect(await ground.objects.head(runKey(run_id, 'facts_view.json'))).toBeNull();
          expect(await signalsOf(ground.bus, run_id)).toEqual([]);
          expect(JSON.parse(await bytesUnder(run_id, 'failed.json'))).toMatchObject({ state, reasons: [reason] });
          await expect(sr.service.facts(run_id)).rejects.toMatchObject({ code: 'SR_RUN_NOT_READY' });
        });
      });

      it('a gate of the policy that no receipt covers', async () => {
        const world = freshWorld();
        await putWorld(ground.objects, { rows: trafficRows(3), invocation: world });
        const gates = { required_gates: ['engine.output', 'engine.audit'], evidence_deadline_ms: 60 };
        await using({ engine: noEngine(), gates }, async (sr) => {
          const { run_id } = await ask(sr, requestOf(freshKey(), { world }));
          const end = await ended(sr, run_id);
          expect(end).toMatchObject({ state: 'FAILED', reasons: ['EVIDENCE_MISSING_DEADLINE'] });
          expect(end.detail).toContain('engine.audit');
        });
      });

      it('a world exchanged as a whole, each of its parts in agreement with the others', async () => {
        const world = freshWorld();
        await putWorld(ground.objects, { rows: trafficRows(3), invocation: world });
        await using({ engine: noEngine() }, async (sr) => {
          const { run_id } = await ask(sr, requestOf(freshKey(), { world }));
          expect(await ended(sr, run_id)).toMatchObject({ state: 'READY' });
        });
        await putWorld(ground.second, { rows: trafficRows(4), invocation: world });
        await using({ engine: noEngine(), objects: worldsFrom(ground.second, ground.objects) }, async (sr) => {
          const { run_id } = await ask(sr, requestOf(freshKey(), { world }));
          const end = await ended(sr, run_id);
          expect(end).toMatchObject({ state: 'QUARANTINED', reasons: ['EVIDENCE_CONFLICT'] });
          expect(end.detail).toContain('two materialisations');
        });
      });
    });

    it('waits for evidence that comes late, and then goes on', async () => {
      const world = freshWorld();
      await putWorld(ground.objects, {
        rows: trafficRows(3),
        invocation: world,
        tamper: { stored: (key, bytes) => (key.endsWith('receipt.json') ? null : bytes) },
      });
      await using({ engine: noEngine() }, async (sr) => {
        const { run_id } = await ask(sr, requestOf(freshKey(), { world }));
        await eventually(
          () => statusOf(sr, run_id),
          ({ state }) => state === 'WAITING_EVIDENCE',
        );
        await putWorld(ground.objects, { rows: trafficRows(3), invocation: world });
        expect(await ended(sr, run_id)).toMatchObject({ state: 'READY' });
        expect(await eventNames(sr, run_id)).toEqual(expect.arrayContaining(['EVIDENCE_WAITING', 'EVIDENCE_COMPLETE']));
      });
    });

    it('FORCE_REUSE never asks the engine: a world that nobody seals is missed at the deadline', async () => {
      const engine = noEngine();
      await using({ engine, gates: { evidence_deadline_ms: 60 } }, async (sr) => {
        const { run_id } = await ask(sr, requestOf(freshKey(), { world: freshWorld(), strategy: 'FORCE_REUSE' }));
        const end = await ended(sr, run_id);
        expect(end).toMatchObject({ state: 'FAILED', reasons: ['EVIDENCE_MISSING_DEADLINE'], attempts: 0 });
        expect(end.detail).toContain('the seal of the world');
        expect(engine.asked).toBe(0);
      });
    });

    describe('the engine', () => {
      it('shows how far it is', async () => {
        const good = makes(ground.objects, {}, 1);
        let seen = false;
        const engine = new ScriptedEngine((invocation) =>
          seen ? good.seal({ invocation }) : Promise.resolve(running(invocation, 'sorting', 17)),
        );
        await using({ engine }, async (sr) => {
          const { run_id } = await ask(sr, requestOf(freshKey(), { world: freshWorld() }));
          const status = await eventually(
            () => statusOf(sr, run_id),
            ({ engine: shown }) => shown !== undefined,
          );
          expect(status).toMatchObject({ state: 'EXECUTING', engine: { stage: 'sorting', rows_done: 17 } });
          seen = true;
          expect((await ended(sr, run_id)).engine).toBeUndefined();
        });
      });

      it.each([
        ['gives up for good', (i: Parameters<typeof gaveUp>[0]) => gaveUp(i, false), 1, 'row 7 is cut'],
        ['gives up at every attempt', (i: Parameters<typeof gaveUp>[0]) => gaveUp(i, true), 3, 'attempt 3 of 3'],
      ])('%s', async (_name, answer, attempts, detail) => {
        const engine = new ScriptedEngine((invocation) => Promise.resolve(answer(invocation)));
        await using({ engine }, async (sr) => {
          const { run_id } = await ask(sr, requestOf(freshKey(), { world: freshWorld() }));
          const end = await ended(sr, run_id);
          expect(end).toMatchObject({ state: 'FAILED', reasons: ['ENGINE_EXEC_FAIL'], attempts });
          expect(end.detail).toContain(detail);
          expect(engine.asked).toBe(attempts);
        });
      });

      it('succeeds at the second attempt', async () => {
        const good = makes(ground.objects, {}, 1);
        const engine = new ScriptedEngine((invocation, asked) =>
          asked === 1 ? Promise.resolve(gaveUp(invocation, true)) : good.seal({ invocation }),
        );
        await using({ engine }, async (sr) => {
          const { run_id } = await ask(sr, requestOf(freshKey(), { world: freshWorld() }));
          expect(await ended(sr, run_id)).toMatchObject({ state: 'READY', attempts: 2 });
        });
      });

      it('refuses what it is asked for', async () => {
        const refusal = new ProbityError('ENGINE_PARAMETERS_INVALID', 'customers at /customers must be >= 10');
        const engine = new ScriptedEngine(() => Promise.reject(refusal));
        await using({ engine }, async (sr) => {
          const { run_id } = await ask(sr, requestOf(freshKey(), { world: freshWorld() }));
          const end = await ended(sr, run_id);
          expect(end).toMatchObject({ state: 'FAILED', reasons: ['ENGINE_LAUNCH_FAILED'] });
          expect(end.detail).toContain('/customers must be >= 10');
        });
      });

      it('is asked again while it is busy or away, and no attempt is counted', async () => {
        const good = makes(ground.objects, {}, 1);
        const codes = ['ENGINE_BUSY', 'RPC_UNAVAILABLE', 'RPC_OUTCOME_UNKNOWN', 'RPC_DEADLINE_EXCEEDED'] as const;
        const engine = new ScriptedEngine((invocation, asked) => {
          const code = codes[asked - 1];
          return code === undefined ? good.seal({ invocation }) : Promise.reject(new ProbityError(code, 'not now'));
        });
        await using({ engine }, async (sr) => {
          const { run_id } = await ask(sr, requestOf(freshKey(), { world: freshWorld() }));
          const end = await ended(sr, run_id);
          expect(end).toMatchObject({ state: 'READY', attempts: 1 });
          expect(end.detail).toBeUndefined();
        });
      });

      it('says for what it waits while the engine is away', async () => {
        const good = makes(ground.objects, {}, 1);
        let away = true;
        const engine = new ScriptedEngine((invocation) =>
          away ? Promise.reject(new ProbityError('RPC_UNAVAILABLE', 'nobody runs it')) : good.seal({ invocation }),
        );
        await using({ engine }, async (sr) => {
          const { run_id } = await ask(sr, requestOf(freshKey(), { world: freshWorld() }));
          const status = await eventually(
            () => statusOf(sr, run_id),
            ({ detail }) => detail !== undefined,
          );
          expect(status.detail).toBe('waiting for the engine: RPC_UNAVAILABLE: nobody runs it');
          away = false;
          expect((await ended(sr, run_id)).detail).toBeUndefined();
        });
      });

      it.each([
        ['ENGINE_TIMEOUT', (i: Parameters<typeof running>[0]) => Promise.resolve(running(i))],
        ['ENGINE_LAUNCH_FAILED', () => Promise.reject(new ProbityError('ENGINE_BUSY', 'full'))],
      ] as const)('takes too long: %s', async (reason, script) => {
        const engine = new ScriptedEngine(script);
        await using({ engine, gates: { engine_timeout_ms: 60 } }, async (sr) => {
          const { run_id } = await ask(sr, requestOf(freshKey(), { world: freshWorld() }));
          const end = await ended(sr, run_id);
          expect(end).toMatchObject({ state: 'FAILED', reasons: [reason] });
          expect(end.detail).toContain('no seal within 60 ms');
        });
      });

      it('answers of another world', async () => {
        const engine = new ScriptedEngine((invocation) =>
          Promise.resolve({
            ...running(invocation),
            pins: { ...worldPinsOf(invocation), seed: '1' as Seed },
          }),
        );
        await using({ engine }, async (sr) => {
          const { run_id } = await ask(sr, requestOf(freshKey(), { world: freshWorld() }));
          expect(await ended(sr, run_id)).toMatchObject({ state: 'QUARANTINED', reasons: ['EVIDENCE_CONFLICT'] });
        });
      });
    });

    describe('a live run', () => {
      it('is ready at once, with what it declares and nothing else', async () => {
        const engine = noEngine();
        await using({ engine }, async (sr) => {
          const { run_id } = await ask(sr, requestOf(freshKey(), { world: liveWorld() }));
          const status = await ended(sr, run_id);
          expect(status).toMatchObject({ state: 'READY', kind: 'live', attempts: 0, pins: { seed: '0' } });
          const facts = await sr.service.facts(run_id);
          expect(facts).toMatchObject({
            outputs: [],
            gate_receipts: [],
            traffic: [{ event_type: 'transaction', schema_version: 'v1' }],
          });
          expect(facts.seal).toBeUndefined();
          expect(facts.counts).toBeUndefined();
          expect(await signalsOf(ground.bus, run_id)).toHaveLength(1);
          expect(engine.asked).toBe(0);
        });
      });

      it('has the world that it declares: another declaration is another world', async () => {
        await using({ engine: noEngine() }, async (sr) => {
          const [a, b, c] = await Promise.all([
            ask(sr, requestOf(freshKey(), { world: liveWorld() })),
            ask(sr, requestOf(freshKey(), { world: liveWorld() })),
            ask(sr, requestOf(freshKey(), { world: liveWorld('other') })),
          ]);
          expect(a.pins.manifest_fingerprint).toBe(b.pins.manifest_fingerprint);
          expect(a.pins.run_id).not.toBe(b.pins.run_id);
          expect(c.pins.manifest_fingerprint).not.toBe(a.pins.manifest_fingerprint);
        });
      });

      it('is refused where it declares what nobody could admit', async () => {
        await using({ engine: noEngine() }, async (sr) => {
          const world = { ...liveWorld(), traffic: [{ event_type: 'nonsense', schema_version: 'v1' }] } as never;
          const key = freshKey();
          await expect(ask(sr, requestOf(key, { world }))).rejects.toMatchObject({
            code: 'SR_SCENARIO_BINDING_INVALID',
          });
          expect(await ground.objects.head(requestKey(runIdOf(key)))).toBeNull();
        });
      });
    });

    describe('one run per equivalence key', () => {
      it('gives a second requester the run of the first', async () => {
        const engine = makes(ground.objects);
        await using({ engine }, async (sr) => {
          const request = requestOf(freshKey(), { world: freshWorld(), output_ids: ['transactions', 'labels'] });
          const first = await ask(sr, request);
          const ready = await ended(sr, first.run_id);
          const again = await ask(sr, { ...request, output_ids: ['labels', 'transactions'] });
          expect(again).toEqual(ready);
          expect(await eventNames(sr, first.run_id)).toContain('DUPLICATE_REQUEST_OBSERVED');
        });
      });

      it('refuses another intent under the key, and keeps its fingerprint', async () => {
        await using({ engine: makes(ground.objects) }, async (sr) => {
          const world = freshWorld();
          const request = requestOf(freshKey(), { world });
          const { run_id } = await ask(sr, request);
          const before = await ended(sr, run_id);
          const other = { ...request, world: { ...world, seed: '1' as Seed } };
          await expect(ask(sr, other)).rejects.toMatchObject({ code: 'SR_EQUIV_KEY_COLLISION' });
          expect(await statusOf(sr, run_id)).toEqual(before);
          const events = await sr.service.events(run_id);
          const refused = events.find(({ event }) => event === 'EQUIV_KEY_COLLISION_REFUSED');
          expect(refused?.data['offered']).toMatch(/^[0-9a-f]{64}$/);
        });
      });

      it('makes one run of many requests at once over two processes, by one writer', async () => {
        const engine = makes(ground.objects, {}, 3);
        await using({ engine }, async (a) => {
          await using({ engine }, async (b) => {
            const request = requestOf(freshKey(), { world: freshWorld() });
            const statuses = await Promise.all(
              Array.from({ length: 12 }, (_, index) => ask(index % 2 === 0 ? a : b, request)),
            );
            expect(new Set(statuses.map(({ run_id }) => run_id)).size).toBe(1);
            const run_id = statuses[0]?.run_id ?? '';
            expect(await ended(a, run_id)).toMatchObject({ state: 'READY' });
            const names = await eventNames(a, run_id);
            for (const once of ['RUN_ACCEPTED', 'PLAN_COMMITTED', 'READY_COMMITTED', 'READY_PUBLISHED'])
              expect(names.filter((name) => name === once)).toEqual([once]);
            expect(await signalsOf(ground.bus, run_id)).toHaveLength(1);
          });
        });
      });

      it('and only one of two intents at once under one key is accepted', async () => {
        await using({ engine: makes(ground.objects) }, async (sr) => {
          const key = freshKey();
          const asks = [freshWorld(), freshWorld()].map((world) => ask(sr, requestOf(key, { world })));
          const outcomes = await Promise.allSettled(asks);
          expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
          expect(outcomes.find(({ status }) => status === 'rejected')).toMatchObject({
            reason: { code: 'SR_EQUIV_KEY_COLLISION' },
          });
        });
      });
    });

    describe('a correction', () => {
      it('names the old run, and the old run names it; the old view stays as it was', async () => {
        await using({ engine: makes(ground.objects) }, async (sr) => {
          const old = await ask(sr, requestOf(freshKey(), { world: freshWorld() }));
          await ended(sr, old.run_id);
          const names = ['facts_view.json', 'ready.json', 'record.json', 'plan.json', 'request.json'];
          const before = await Promise.all(names.map((name) => bytesUnder(old.run_id, name)));

          const supersedes = { run_id: old.run_id, reason: 'wrong time zone' };
          const next = await ask(sr, requestOf(freshKey(), { world: freshWorld(), supersedes }));
          expect(await ended(sr, next.run_id)).toMatchObject({ state: 'READY', supersedes: old.run_id });
          expect(await sr.service.facts(next.run_id)).toMatchObject({ supersedes });
          expect(await statusOf(sr, old.run_id)).toMatchObject({ state: 'READY', superseded_by: next.run_id });
          expect(await eventNames(sr, next.run_id)).toContain('SUPERSEDES');
          expect((await eventNames(sr, old.run_id)).at(-1)).toBe('SUPERSEDED_BY');
          expect(await Promise.all(names.map((name) => bytesUnder(old.run_id, name)))).toEqual(before);

          // A second correction of the same run would make two heads.
          const second = requestOf(freshKey(), { world: freshWorld(), supersedes });
          await expect(ask(sr, second)).rejects.toMatchObject({ code: 'SR_SCENARIO_BINDING_INVALID' });
        });
      });

      it('of a run that nobody knows, or of itself, is refused', async () => {
        await using({ engine: noEngine() }, async (sr) => {
          const key = freshKey();
          for (const run_id of [runIdOf('nobody'), runIdOf(key)]) {
            const request = requestOf(key, { supersedes: { run_id, reason: 'x' } });
            await expect(ask(sr, request)).rejects.toMatchObject({ code: 'SR_SCENARIO_BINDING_INVALID' });
          }
        });
      });

      it('that another one overtook fails', async () => {
        await using({ engine: noEngine() }, async (sr) => {
          const old = await ask(sr, requestOf(freshKey(), { world: liveWorld() }));
          const supersedes = { run_id: old.run_id, reason: 'both at once' };
          const asks = [1, 2, 3].map(() => ask(sr, requestOf(freshKey(), { world: liveWorld(), supersedes })));
          const accepted = (await Promise.allSettled(asks)).flatMap((outcome) =>
            outcome.status === 'fulfilled' ? [outcome.value.run_id] : [],
          );
          const ends = await Promise.all(accepted.map((run_id) => ended(sr, run_id)));
          expect(ends.filter(({ state }) => state === 'READY')).toHaveLength(1);
          for (const end of ends.filter(({ state }) => state !== 'READY'))
            expect(end).toMatchObject({ state: 'FAILED', reasons: ['SCENARIO_BINDING_INVALID'] });
        });
      });
    });

    it('keeps the plan under which a run began, whatever policy comes into force', async () => {
      const world = freshWorld();
      await using({ engine: new ScriptedEngine((i) => Promise.resolve(running(i))) }, async (before) => {
        const { run_id } = await ask(before, requestOf('policy/change', { world }));
        await eventually(
          () => statusOf(before, run_id),
          ({ state }) => state === 'EXECUTING',
        );
      });
      const gates = { required_gates: ['engine.output', 'engine.audit'] };
      await using({ engine: makes(ground.objects, {}, 1), revision: 2, gates }, async (after) => {
        const run_id = runIdOf('policy/change');
        expect(await ended(after, run_id)).toMatchObject({ state: 'READY' });
        expect(await after.service.facts(run_id)).toMatchObject({ policy_rev: { revision: 1 } });
      });
    });

    it('lists runs page by page, youngest first', async () => {
      await using({ engine: noEngine() }, async (sr) => {
        const asked: string[] = [];
        for (let n = 0; n < 5; n += 1) {
          const { run_id } = await ask(sr, requestOf(freshKey(), { world: liveWorld() }));
          await ended(sr, run_id);
          asked.unshift(run_id);
        }
        const seen: string[] = [];
        let cursor: string | undefined;
        for (let page = 0; page < 3; page += 1) {
          const query = { limit: 2, state: 'READY' as const, ...(cursor === undefined ? {} : { cursor }) };
          const { runs, next_cursor } = await sr.service.runs(query, {} as never);
          seen.push(...runs.map(({ run_id }) => run_id));
          cursor = next_cursor;
        }
        expect(seen.slice(0, 5)).toEqual(asked);
        await expect(sr.service.runs({ limit: 2, cursor: 'bm9uc2Vuc2U' }, {} as never)).rejects.toMatchObject({
          code: 'VALUE_INVALID',
        });
      });
    });

    it('says of a run that nobody asked for that there is none', async () => {
      await using({ engine: noEngine() }, async (sr) => {
        await expect(statusOf(sr, runIdOf('never asked for'))).rejects.toMatchObject({ code: 'SR_RUN_NOT_FOUND' });
      });
    });
  });
}

/** A store whose worlds are those of another one, as if somebody had exchanged them behind its back. */
function worldsFrom(worlds: Objects, rest: Objects): Objects {
  const storeOf = (key: string): Objects => (key.startsWith('engine/worlds/') ? worlds : rest);
  return new (class extends Objects {
    readonly kind = rest.kind;
    putIfAbsent: Objects['putIfAbsent'] = (key, body, options) => storeOf(key).putIfAbsent(key, body, options);
    read: Objects['read'] = (ref, options) => storeOf(ref.locator).read(ref, options);
    open: Objects['open'] = (ref) => storeOf(ref.locator).open(ref);
    readRange: Objects['readRange'] = (ref, range) => storeOf(ref.locator).readRange(ref, range);
    head: Objects['head'] = (key) => storeOf(key).head(key);
    list: Objects['list'] = (prefix, options) => storeOf(prefix).list(prefix, options);
    health: Objects['health'] = () => rest.health();
    close: Objects['close'] = () => Promise.resolve();
  })();
}
