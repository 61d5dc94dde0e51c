import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type AdmissionGate } from '../../src/modules/ingestion-gate/ingestion-gate.admission.js';
import { type Receipt } from '../../src/modules/ingestion-gate/ingestion-gate.port.js';
import { ReservationHolds } from '../../src/modules/ingestion-gate/ledger/reservation-holds.js';
import { asTopicName } from '../../src/rails/eb-ref.js';
import { type RunPins } from '../../src/rails/pins.js';
import { refusal } from '../../src/substrate/bus/contract/kit.js';
import { eventually } from '../support/eventually.js';
import { putLiveRun, transactionEvent } from '../support/run-facts.js';
import { recordedTelemetry } from '../support/telemetry.js';
import { by, type GateGround, type GateParts, onBus, openGate } from './ingestion-gate.kit.js';
import { rethrown } from './ingestion-gate.rig.js';
import { apart, type AppendScript, failing, type Switch } from './ingestion-gate.stand-ins.js';

const TRAFFIC = asTopicName('fp.bus.traffic.v1');
const TAG = randomBytes(4).toString('hex');

/** What can go wrong between a ledger and a bus that do not commit together, one step after the other. */
export function twoStepCases(name: string, openGround: () => Promise<GateGround>): void {
  describe(`a gate whose ledger and bus are apart, on ${name}`, () => {
    const grounds: GateGround[] = [];
    const gates: AdmissionGate[] = [];
    let run: RunPins;
    let runs = 0;

    beforeAll(async () => {
      grounds.push(await openGround());
    });
    beforeEach(async () => {
      runs += 1;
      run = await putLiveRun(ground().objects, {
        key: `apart-${name}-${TAG}-${runs}`.replace(/[^a-zA-Z0-9]+/g, '-'),
        scenario: 'shop.web',
      });
    });
    afterEach(async () => {
      await Promise.all(gates.splice(0).map((gate) => gate.onModuleDestroy()));
      expect(await reservations()).toBe(0);
    });
    afterAll(async () => {
      await Promise.all(grounds.map((each) => each.close()));
    });

    const ground = (): GateGround => {
      const [first] = grounds;
      if (first === undefined) throw new Error('there is no ground');
      return first;
    };
    const open = async (script: AppendScript, change: Partial<GateParts> = {}): Promise<AdmissionGate> => {
      const { bus, database, objects } = ground();
      const gate = await openGate({ bus: apart(bus, script), database, objects, ...change });
      gates.push(gate);
      return gate;
    };
    const send = (gate: AdmissionGate, ...numbers: readonly number[]): Promise<readonly Receipt[]> =>
      gate.admit(
        numbers.map((number) => ({ text: transactionEvent(run, number) })),
        by(),
      );
    const decisions = (receipts: readonly Receipt[]) => receipts.map(({ decision }) => decision);
    const idsOnBus = async (): Promise<readonly string[]> =>
      (await onBus(ground().bus))
        .map(({ value }) => JSON.parse(Buffer.from(value).toString()) as { run_id: string; event_id: string })
        .flatMap(({ run_id, event_id }) => (run_id === run.run_id ? [event_id] : []))
        .sort();
    const reservations = async (): Promise<number> => {
      const { rows } = await ground().database.query<{ count: number }>('select count(*) from reservations');
      return rows[0]?.count ?? -1;
    };
    const quiet = (): AppendScript => ({ next: [], appends: 0 });
    const demandReconciled = async (gate: AdmissionGate) =>
      expect(
        await eventually(
          () => gate.reconcile(run.run_id),
          ({ state }) => state === 'DONE',
          30_000,
        ),
      ).toMatchObject({ reconciled: true });

    it('settles an append whose answer was lost, be it on the bus or not, and admits each event once', async () => {
      const telemetry = recordedTelemetry('ingestion-gate');
      const script: AppendScript = { next: ['lost, landed'], appends: 0 };
      const gate = await open(script, { telemetry });
      const receipts = await send(gate, 1, 2, 3);
      expect(decisions(receipts)).toEqual(['ADMIT', 'ADMIT', 'ADMIT']);
      expect(script.appends).toBe(1);
      script.next.push('lost, not landed', 'lost, not landed', 'lost, landed');
      expect(decisions(await send(gate, 4, 5))).toEqual(['ADMIT', 'ADMIT']);
      expect(script.appends).toBe(4);
      expect(await idsOnBus()).toEqual(['e-1', 'e-2', 'e-3', 'e-4', 'e-5']);
      for (const receipt of receipts) expect(await gate.receipt(receipt.receipt_id)).toEqual(receipt);
      expect(telemetry.text()).toContain('ig_append_ambiguous');
      await demandReconciled(gate);
    });

    it('gives up after a few lost answers, and the next sending finds what landed', async () => {
      const script: AppendScript = { next: Array.from({ length: 8 }, () => 'lost, not landed'), appends: 0 };
      const gate = await open(script);
      await refusal(send(gate, 1), 'IG_EB_UNHEALTHY');
      expect(await idsOnBus()).toEqual([]);
      script.next.splice(0);
      expect(decisions(await send(gate, 1))).toEqual(['ADMIT']);
      script.next.push('lost, landed');
      script.openFails = 'BUS_UNAVAILABLE';
      await refusal(send(gate, 2), 'IG_EB_UNHEALTHY');
      script.openFails = undefined;
      // It stands on the bus, so it was admitted then, and this is a second sending.
      const [second] = await send(gate, 2);
      expect(second?.decision).toBe('DUPLICATE');
      expect(await idsOnBus()).toEqual(['e-1', 'e-2']);
      await demandReconciled(gate);
    });

    it('leaves nothing behind an append that was refused', async () => {
      const script: AppendScript = { next: ['refused'], appends: 0 };
      const gate = await open(script);
      await refusal(send(gate, 1, 2), 'IG_EB_UNHEALTHY');
      expect(await reservations()).toBe(0);
      expect(decisions(await send(gate, 2, 1))).toEqual(['ADMIT', 'ADMIT']);
    });

    it('admits what stands on the bus although the ledger could not be written afterwards', async () => {
      const off: Switch = { code: undefined };
      const { database } = ground();
      const script: AppendScript = quiet();
      script.afterAppend = () => {
        off.code = 'DATABASE_UNAVAILABLE';
      };
      const gate = await open(script, { database: failing(database, off) });
      await refusal(send(gate, 1, 2), 'IG_LEDGER_UNHEALTHY');
      expect(await idsOnBus()).toEqual(['e-1', 'e-2']);
      expect(await reservations()).toBe(2);
      // Nobody may take away what has to be found again: the log is held from before these records on.
      const ends = new Map(
        (await ground().bus.marks(TRAFFIC)).map(({ partition, highWater }) => [partition, highWater]),
      );
      const held = await new ReservationHolds(database).holds();
      expect(held.length).toBeGreaterThan(0);
      for (const { topic, partition, offset } of held) {
        expect(topic).toBe(TRAFFIC);
        expect(offset).toBeLessThan(ends.get(partition) ?? 0);
      }
      delete script.afterAppend;
      off.code = undefined;
      const receipts = await send(gate, 1, 2, 3);
      expect(decisions(receipts)).toEqual(['DUPLICATE', 'DUPLICATE', 'ADMIT']);
      expect(await idsOnBus()).toEqual(['e-1', 'e-2', 'e-3']);
      await demandReconciled(gate);
    });

    it('finishes what a dead gate left: what landed is admitted, the rest is free again', async () => {
      // Each of these gates stops for good at its step, with its slot and producer still its own.
      const stuck = (): Promise<void> => new Promise(() => undefined);
      for (const [step, landed] of [
        ['before', false],
        ['after', true],
      ] as const) {
        const script: AppendScript = quiet();
        let arrived = (): void => undefined;
        const there = new Promise<void>((resolve) => {
          arrived = resolve;
        });
        const stop = async () => {
          arrived();
          await stuck();
        };
        if (landed) script.afterAppend = stop;
        else script.beforeAppend = stop;
        const victim = await openVictim(apart(ground().bus, script), ground());
        const number = landed ? 2 : 1;
        void send(victim.gate, number).catch(() => undefined);
        await there;
        expect(await reservations()).toBe(1);
        const heir = await open(quiet());
        // While the other one lives, its identity is neither admitted nor free.
        await refusal(send(heir, number), 'IG_IN_PROGRESS');
        await victim.die();
        const [receipt] = await send(heir, number);
        expect([step, receipt?.decision]).toEqual([step, landed ? 'DUPLICATE' : 'ADMIT']);
        expect((await idsOnBus()).filter((id) => id === `e-${number}`)).toHaveLength(1);
        await demandReconciled(heir);
      }
    });

    it('fences a gate that has lost its slot without noticing: it appends nothing any more', async () => {
      const script: AppendScript = quiet();
      const victim = await open(script);
      expect(decisions(await send(victim, 1))).toEqual(['ADMIT']);
      // Its session is ended behind its back, and another gate takes the slot.
      await ground().administrate(`
        select pg_terminate_backend(l.pid) from pg_locks as l
        where l.locktype = 'advisory' and l.granted and l.pid <> pg_backend_pid()
          and (l.classid::bigint << 32 | l.objid::bigint) in (select ig.slot_key(n) from generate_series(0, 255) as n)`);
      const heir = await open(quiet());
      const both = await Promise.all([settledSend(victim, 2), settledSend(heir, 2)]);
      expect(both.some((receipt) => receipt?.decision === 'ADMIT')).toBe(true);
      await eventually(
        () => settledSend(victim, 3),
        (receipt) => receipt !== null,
      );
      expect(await idsOnBus()).toEqual(['e-1', 'e-2', 'e-3']);
      await demandReconciled(heir);
    });

    /** A receipt, or null where the gate said to come again. */
    async function settledSend(gate: AdmissionGate, number: number): Promise<Receipt | null> {
      try {
        return (await send(gate, number))[0] ?? null;
      } catch (error) {
        await refusal(rethrown(error), 'IG_IN_PROGRESS', 'IG_EB_UNHEALTHY', 'IG_LEDGER_UNHEALTHY');
        return null;
      }
    }
  });
}

/** A gate on a database of its own, which can be taken away from it as death does: its session, and so its slot, goes. */
async function openVictim(bus: GateParts['bus'], { database, objects }: GateGround) {
  const sessions: { close: () => Promise<void> }[] = [];
  const watched = new Proxy(database, {
    get(target, name) {
      if (name === 'session') {
        return async () => {
          const session = await target.session();
          sessions.push(session);
          return session;
        };
      }
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
  const gate = await openGate({ bus, database: watched, objects });
  return {
    gate,
    die: async () => {
      await Promise.all(sessions.map((session) => session.close()));
    },
  };
}
