import { ARCHIVE_POLICY } from '../../src/modules/run-operate/archive/archive.policy.js';
import { GovernanceFacts } from '../../src/modules/run-operate/governance-facts.js';
import { JobKinds } from '../../src/modules/run-operate/jobs/job-kind.js';
import { JobRunner } from '../../src/modules/run-operate/jobs/job.runner.js';
import { JobStore } from '../../src/modules/run-operate/jobs/job.store.js';
import { JOBS_POLICY } from '../../src/modules/run-operate/jobs/jobs.policy.js';
import { JobsService } from '../../src/modules/run-operate/jobs/jobs.service.js';
import { DrainJob } from '../../src/modules/run-operate/jobs/kinds/drain.job.js';
import { RetentionApplyJob } from '../../src/modules/run-operate/jobs/kinds/retention-apply.job.js';
import { Leases } from '../../src/modules/run-operate/leases.js';
import { OperationFacts } from '../../src/modules/run-operate/operation-facts.js';
import { RetentionGuard } from '../../src/modules/run-operate/retention/retention.guard.js';
import { RetentionPlanner } from '../../src/modules/run-operate/retention/retention.planner.js';
import { RETENTION_POLICY, type RetentionPolicy } from '../../src/modules/run-operate/retention/retention.policy.js';
import { RetentionSignals } from '../../src/modules/run-operate/retention/retention.signals.js';
import type { TopicName } from '../../src/rails/eb-ref.js';
import { type SealedPolicy, sealPolicy } from '../../src/rails/policy-rev.js';
import { About } from '../../src/substrate/about.js';
import type { Bus } from '../../src/substrate/bus/bus.port.js';
import { Consumption, type Reader } from '../../src/substrate/bus/consumption.port.js';
import type { Clock } from '../../src/substrate/clock/clock.port.js';
import type { Database } from '../../src/substrate/database/database.port.js';
import type { Objects } from '../../src/substrate/objects/objects.port.js';
import { StaticPolicies } from '../../src/substrate/policy/policy.port.js';
import { recordedTelemetry } from '../support/telemetry.js';
import { openArchive } from './archive.kit.js';

/** Readers that say what the test says. */
export class Said extends Consumption {
  list: Reader[] = [];
  readers(): Promise<readonly Reader[]> {
    return Promise.resolve(this.list);
  }
}

export function retentionPolicy(
  topics: readonly RetentionPolicy['topics'][number][],
  roles_not_run: readonly string[] = [],
): SealedPolicy {
  return sealPolicy(RETENTION_POLICY.policy_id, 1, { topics, roles_not_run });
}

export interface RetentionOptions {
  readonly database: Database;
  readonly bus: Bus;
  readonly objects: Objects;
  readonly clock: Clock;
  readonly said: Consumption;
  readonly policy: SealedPolicy;
  readonly archived: readonly TopicName[];
}

/** One process that archives, trims and drains. Nothing runs by itself: `runner.round` is one look at the jobs. */
export function openRetention({ database, bus, objects, clock, said, policy, archived }: RetentionOptions) {
  const { telemetry, text, metricsText } = recordedTelemetry();
  const archive = openArchive({ database, bus, objects, clock, topics: archived });
  const policies = new StaticPolicies(
    new Map(
      [
        sealPolicy(ARCHIVE_POLICY.policy_id, 1, {
          ...{ topics: [...archived], chunk_records_max: 10, chunk_bytes_max: 1_000_000, chunk_age_ms: 0 },
        }),
        policy,
        sealPolicy(JOBS_POLICY.policy_id, 1, { schedules: [], approved: [] }),
      ].map((one) => [one.policy_rev.policy_id, one]),
    ),
  );
  const about = new About('1.0.0', 'test', 1);
  const facts = new OperationFacts(new GovernanceFacts(), about);
  const planner = new RetentionPlanner(bus, archive.store, archive.service, objects, policies, clock);
  const apply = new RetentionApplyJob(planner, said, bus, policies, new RetentionSignals(telemetry), telemetry);
  const drain = new DrainJob(said, bus, objects, database, facts, policies, clock, telemetry);
  const kinds = new JobKinds([apply, drain]);
  const store = new JobStore(database, facts, clock);
  const leases = new Leases(database, about);
  const runner = new JobRunner(store, kinds, leases, objects, policies, clock, telemetry, about);
  const jobs = new JobsService(store, kinds, runner, policies);
  const guard = new RetentionGuard(planner, said, policies);
  return { archive, apply, store, runner, jobs, guard, text, metricsText };
}
