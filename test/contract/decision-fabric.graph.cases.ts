import { beforeEach, describe, expect, it } from '@jest/globals';
import { unrestricted } from '../../src/rails/capability-mask.js';
import type { Decision } from '../../src/rails/events/decision.schema.js';
import type { RecordBatch } from '../../src/substrate/bus/bus.port.js';
import { FakeGraph, type FakeLadder, fabricLife, GROUPS, type Neighbours } from './decision-fabric.kit.js';

/** What the graph says, or why it says nothing, in the decision; and who does not ask where it is masked (law R8). */
export function graphSuite(neighbours: () => Neighbours, delivered: () => RecordBatch): void {
  describe('the graph', () => {
    let graph: FakeGraph;

    beforeEach(() => {
      graph = new FakeGraph();
    });

    async function decided(allowIeg = true): Promise<Decision> {
      const around = neighbours();
      (around.ladder as FakeLadder).mask = { ...unrestricted(GROUPS), allow_ieg: allowIeg };
      await fabricLife({ ...around, graph }).consumer.take(delivered());
      const decision = around.gate.decisions.at(-1);
      if (decision === undefined) throw new Error('nothing was decided');
      return decision;
    }

    it('is asked once for a batch, and named with its version and hash', async () => {
      const { graph: used, reason_codes } = await decided();
      expect(graph.calls).toHaveLength(1);
      expect(used).toMatchObject({
        status: 'USED',
        integrity: 'CLEAN',
        graph_context_hash: expect.stringMatching(/^[0-9a-f]{64}$/),
        policy_rev: { policy_id: 'ieg.graph' },
      });
      expect(reason_codes).not.toContain('DEVICE_SHARED_BY_PAYERS');
    });

    it('is what rules speak of', async () => {
      graph.values = { device_payers: 3 };
      expect(await decided()).toMatchObject({
        outcome: 'DECLINE',
        reason_codes: expect.arrayContaining(['DEVICE_SHARED_BY_PAYERS']),
      });
    });

    it('is not asked where the mask forbids it, and the decision says so', async () => {
      graph.values = { device_payers: 3 };
      const decision = await decided(false);
      expect(graph.calls).toEqual([]);
      expect(decision).toMatchObject({
        outcome: 'STEP_UP',
        graph: { status: 'FORBIDDEN_BY_MASK' },
        reason_codes: expect.arrayContaining(['CAPABILITY_BLOCK:allow_ieg']),
      });
      expect(decision.reason_codes).not.toContain('DEVICE_SHARED_BY_PAYERS');
    });

    it.each([
      ['down', 'UNAVAILABLE'],
      ['nothing', 'UNAVAILABLE'],
      ['other event', 'UNAVAILABLE'],
      ['too late', 'UNAVAILABLE'],
      ['lags', 'LAGGING'],
    ] as const)('that is or answers "%s" leads to the safe outcome, recorded as %s', async (answer, status) => {
      graph.answer = answer;
      const decision = await decided();
      expect(decision).toMatchObject({
        outcome: 'STEP_UP',
        graph: { status },
        reason_codes: expect.arrayContaining([`GRAPH_${status}`]),
      });
      expect(decision.graph).not.toHaveProperty('graph_version');
    });
  });
}
