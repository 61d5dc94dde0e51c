import { Injectable } from '@nestjs/common';
import { type Static, Type } from '@sinclair/typebox';
import type { JsonObject } from '../../../../rails/canonical-json.js';
import { asTopicName, type Offset, TopicNameSchema } from '../../../../rails/eb-ref.js';
import { ProbityError } from '../../../../rails/errors/probity-error.js';
import { closed } from '../../../../rails/schema.js';
import { Bus } from '../../../../substrate/bus/bus.port.js';
import { Consumption } from '../../../../substrate/bus/consumption.port.js';
import { Policies } from '../../../../substrate/policy/policy.port.js';
import { Telemetry } from '../../../../substrate/telemetry/telemetry.port.js';
import { running } from '../../retention/readers.js';
import type { Limit } from '../../retention/retention.core.js';
import { type PlannedPartition, RetentionPlanner } from '../../retention/retention.planner.js';
import { RETENTION_POLICY } from '../../retention/retention.policy.js';
import { RetentionSignals } from '../../retention/retention.signals.js';
import type { JobKind, JobWork } from '../job-kind.js';

const HELD_BY_MAX = 20;

export const RetentionScopeSchema = closed({
  /** Left out: all topics of the policy. */
  topics: Type.Optional(Type.Array(TopicNameSchema, { minItems: 1, maxItems: 16, uniqueItems: true })),
});

/** What a receipt says of one partition. */
interface Line {
  readonly topic: string;
  readonly partition: number;
  /** The oldest offset before and after: what lies between is gone. */
  readonly from: Offset;
  readonly to: Offset;
  /** Where age alone would have cut. */
  readonly aged: Offset;
  /** Who kept what was old enough to go, and from where; null: it is not known from where. */
  readonly held_by: readonly Limit[];
}

/**
 * Takes away what is old enough and what nobody needs any more. Nothing below a limit of anybody: done again after a crash it looks anew, and finds gone
 * what was taken. That something is held up is no fault of the job; it is a line of the receipt.
 */
@Injectable()
export class RetentionApplyJob implements JobKind {
  readonly kind = 'retention_apply';
  readonly summary = 'Trims the bus to what is young, not archived yet, or still needed by somebody.';
  readonly scope = RetentionScopeSchema;

  constructor(
    private readonly planner: RetentionPlanner,
    private readonly consumption: Consumption,
    private readonly bus: Bus,
    private readonly policies: Policies,
    private readonly signals: RetentionSignals,
    private readonly telemetry: Telemetry,
  ) {}

  async run(scope: JsonObject, { signal }: JobWork): Promise<JsonObject> {
    // The kinds have compared the scope with the schema.
    const { topics } = scope as Static<typeof RetentionScopeSchema>;
    const { body, policy_rev } = this.policies.inForce(RETENTION_POLICY);
    const readers = running(await this.consumption.readers(signal), body.roles_not_run);
    const unknown = readers.flatMap(({ role, answer, fault }) =>
      answer === null ? [{ role, fault: fault ?? '' }] : [],
    );
    const lines: Line[] = [];
    for (const topic of body.topics) {
      if (topics?.includes(topic.topic) === false) continue;
      const isArchived = this.planner.isArchived(topic);
      for (const planned of await this.planner.plan(topic, readers)) {
        signal.throwIfAborted();
        lines.push(await this.#apply(planned, isArchived));
      }
    }
    const partitions = lines.map(({ held_by, ...line }) => ({ ...line, held_by: held_by.map((one) => ({ ...one })) }));
    return { policy_rev: { ...policy_rev }, unknown, partitions };
  }

  /** The bus says that it begins where the receipt says, or later. */
  async verify(_: JsonObject, { partitions }: JsonObject): Promise<JsonObject> {
    const lines = partitions as unknown as readonly Line[];
    for (const topic of new Set(lines.map((line) => line.topic))) {
      const marks = await this.bus.marks(asTopicName(topic));
      for (const line of lines.filter((one) => one.topic === topic)) {
        const mark = marks.find(({ partition }) => partition === line.partition);
        if (mark === undefined || mark.lowWater < line.to)
          throw new ProbityError('BUS_UNAVAILABLE', `${topic}/${line.partition} does not begin at ${line.to} yet`);
      }
    }
    return { partitions: lines.length, trimmed: lines.filter(({ from, to }) => to > from).length };
  }

  async #apply(planned: PlannedPartition, isArchived: boolean): Promise<Line> {
    const { topic, partition, lowWater: from, cut } = planned;
    this.signals.looked(planned);
    const broken =
      isArchived && cut.to > from ? await this.planner.answeredFor(planned, { first: from, next: cut.to }) : null;
    const to = broken === null ? cut.to : (Math.max(from, Math.min(broken.offset ?? from, cut.to)) as Offset);
    const held = [...(broken === null ? [] : [broken]), ...cut.heldBy].slice(0, HELD_BY_MAX);
    if (to > from) {
      await this.bus.trim({ topic, partition, offset: to });
      this.signals.trimmed(topic, to - from);
      this.telemetry.logger.info('ops_retention_trimmed', { topic, partition, from, to });
    }
    if (held.length > 0)
      this.telemetry.logger.warn('ops_retention_held', {
        ...{ topic, partition, at: to, aged: cut.aged },
        by: held.map(({ by }) => by),
      });
    return { topic, partition, from, to, aged: cut.aged, held_by: held };
  }
}
