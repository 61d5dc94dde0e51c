import { describe } from '@jest/globals';
import { type Bus } from '../../src/substrate/bus/bus.port.js';
import { admissionCases } from './ingestion-gate.admission.cases.js';
import { type GateGround } from './ingestion-gate.kit.js';
import { operationCases } from './ingestion-gate.operation.cases.js';
import { reasonCases } from './ingestion-gate.reasons.cases.js';
import { gateRig } from './ingestion-gate.rig.js';

/** What the gate promises, over whatever it stands on. `seen` gives the bus of the ground as the lane under test sees it. */
export function gateContract(
  name: string,
  openGround: () => Promise<GateGround>,
  seen: (bus: Bus) => Bus = (bus) => bus,
): void {
  describe(`ingestion gate on ${name}`, () => {
    const rig = gateRig(name, openGround, seen);
    admissionCases(rig);
    reasonCases(rig);
    operationCases(rig);
  });
}
