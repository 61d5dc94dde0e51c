import { expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import type { GraphStatus } from '../../src/modules/entity-graph/entity-graph.controller.js';
import type { FeaturePlaneStatus } from '../../src/modules/feature-plane/feature-plane.controller.js';
import type { JobStatus } from '../../src/modules/run-operate/jobs/job.schema.js';
import type { Door } from '../support/door.js';
import { eventually } from '../support/eventually.js';

const PATHS = { ofp: '/v1/features/status', ieg: '/v1/graph/status' } as const;

/** What decides is made of the log again while the platform runs, and takes the place of what has decided until now. */
export function backfillCases(
  opened: () => { readonly door: Door; readonly run: string; readonly rows: number },
): void {
  it.each(['ofp', 'ieg'] as const)(
    'have their %s backfilled: it is what was served, takes over, and truth is no target',
    async (target) => {
      const { door, run, rows } = opened();
      await door.decided(run, rows);
      const ops = await door.client('ops');
      const unit = await door.client(target);
      const status = async (): Promise<FeaturePlaneStatus | GraphStatus> =>
        (await unit.get(PATHS[target])).body as FeaturePlaneStatus | GraphStatus;
      const before = await status();
      const intent = { op_id: `backfill-${randomUUID()}`, kind: 'backfill', purpose: 'a test' };
      const refused = await ops.post('/v1/jobs', { ...intent, scope: { target: 'labels' } });
      expect([refused.status, refused.body]).toEqual([422, expect.objectContaining({ code: 'OPS_JOB_INVALID' })]);
      const declared = await ops.post('/v1/jobs', { ...intent, scope: { target, cutover: 'when_equal' } });
      expect([declared.status, declared.text]).toEqual([202, expect.stringContaining('ACCEPTED')]);
      const job = await eventually(
        async () => ((await ops.get(`/v1/jobs/${intent.op_id}`)).body as { job: JobStatus }).job,
        ({ state }) => state === 'COMPLETED' || state === 'FAILED',
        60_000,
      );
      expect([job.state, job.detail.says]).toEqual(['COMPLETED', undefined]);
      const after = await status();
      expect([before.generation, after.generation]).toEqual([1, 2]);
      expect(after.runs).toEqual(before.runs);
    },
    90_000,
  );
}
