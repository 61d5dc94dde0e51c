import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll } from '@jest/globals';
import { type AdmissionGate } from '../../src/modules/ingestion-gate/ingestion-gate.admission.js';
import { type Receipt } from '../../src/modules/ingestion-gate/ingestion-gate.port.js';
import { type RunPins } from '../../src/rails/pins.js';
import { type Bus, type BusRecord } from '../../src/substrate/bus/bus.port.js';
import { refusal } from '../../src/substrate/bus/contract/kit.js';
import { eventually } from '../support/eventually.js';
import { putLiveRun } from '../support/run-facts.js';
import { by, type GateGround, type GateParts, onBus, openGate } from './ingestion-gate.kit.js';

/** Unlike any other run's: stores outlive a run, and what another left there must not be met. */
const TAG = randomBytes(4).toString('hex');

export type GateRig = ReturnType<typeof gateRig>;

/** One ground for all cases of a suite, gates that are closed after each case, and runs that no other case has. */
export function gateRig(name: string, openGround: () => Promise<GateGround>, seen: (bus: Bus) => Bus) {
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
  /** A key of a run of this suite; the same word gives the same key. */
  const keyOf = (word: string): string => `${name}-${TAG}-${word}`.replace(/[^a-zA-Z0-9]+/g, '-');
  /** A run that no other case has. */
  const freshRun = async (scenario = 'shop.web'): Promise<RunPins> => {
    runs += 1;
    return await putLiveRun(ground().objects, {
      key: keyOf(String(runs)),
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
  return { ground, open, freshRun, ofRun, one, keyOf, seen };
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
        await refusal(rethrown(error), 'IG_IN_PROGRESS', 'IG_EB_UNHEALTHY', 'IG_LEDGER_UNHEALTHY');
        return null;
      }
    },
    (receipts) => receipts !== null,
    30_000,
  ).then((receipts) => receipts ?? []);
}

export function textOf(record: BusRecord | undefined): string {
  return record === undefined ? '{}' : Buffer.from(record.value).toString('utf8');
}

/** For `refusal`, which looks at what a promise rejects with. */
export async function rethrown(error: unknown): Promise<never> {
  await Promise.resolve();
  throw error;
}
