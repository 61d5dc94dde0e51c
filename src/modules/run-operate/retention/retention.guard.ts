import { Injectable } from '@nestjs/common';
import { ProbityError } from '../../../rails/errors/probity-error.js';
import type { SealedPolicy } from '../../../rails/policy-rev.js';
import { Consumption, type Reader } from '../../../substrate/bus/consumption.port.js';
import { Policies } from '../../../substrate/policy/policy.port.js';
import { LaneGuard } from '../lane-guard.js';
import { running } from './readers.js';
import { RetentionPlanner } from './retention.planner.js';
import { RETENTION_POLICY, type RetentionPolicy } from './retention.policy.js';

/**
 * Nobody puts in force that the bus keeps less than before and less than what is archived, or less than work under way reads. Where a job that is held up would say the same
 * each hour, a person is told at once. Consumers that lag do not count here: they are expected to catch up, and hold up the job until they do.
 */
@Injectable()
export class RetentionGuard extends LaneGuard {
  constructor(
    private readonly planner: RetentionPlanner,
    private readonly consumption: Consumption,
    private readonly policies: Policies,
  ) {
    super();
  }

  async demand(artifact: SealedPolicy): Promise<void> {
    if (artifact.policy_rev.policy_id !== RETENTION_POLICY.policy_id) return;
    // Judged by its kind before it came here.
    const { topics, roles_not_run } = artifact.body as unknown as RetentionPolicy;
    const before = this.policies.inForce(RETENTION_POLICY).body.topics;
    const shorter = topics.filter(({ topic, keep_ms }) => {
      const now = before.find((one) => one.topic === topic)?.keep_ms ?? Infinity;
      return (keep_ms ?? Infinity) < now;
    });
    if (shorter.length === 0) return;
    const all = await this.consumption.readers(new AbortController().signal);
    // Who cannot be asked is not judged by: the job asks again before anything goes.
    const working = running(all, roles_not_run).flatMap(({ role, answer }): readonly Reader[] =>
      answer === null ? [] : [{ role, topics: [], answer }],
    );
    for (const topic of shorter) {
      for (const { partition, cut } of await this.planner.plan(topic, working)) {
        const [first] = cut.heldBy;
        if (first === undefined) continue;
        throw new ProbityError(
          'OPS_RETENTION_SHORT',
          `${topic.topic}/${partition} would go up to ${cut.aged}, and ${first.by} needs it from ${first.offset ?? 'its beginning'} on`,
          { data: { topic: topic.topic, partition, aged: cut.aged, by: first.by } },
        );
      }
    }
  }
}
