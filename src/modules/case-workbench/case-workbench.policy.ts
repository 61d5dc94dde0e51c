import { type TInteger, Type } from '@sinclair/typebox';
import { OutcomeSchema, PlannedActionSchema, ScopeSchema } from '../../rails/events/decision.schema.js';
import { LabelTypeSchema, LabelValueSchema } from '../../rails/events/label.schema.js';
import { closed, type Sealed } from '../../rails/schema.js';
import type { PolicyFault, PolicyKind } from '../../substrate/policy/policy.port.js';
import {
  ActionNameSchema,
  CaseSchema,
  DispositionSchema,
  MARK_KINDS,
  MarkKindSchema,
  QueueSchema,
} from './case.schema.js';

const { priority } = CaseSchema.properties;

export const CasesPolicySchema = closed({
  /** What becomes a case, where it goes, and how urgent it is. */
  triggers: closed({
    DECISION_ESCALATION: closed({
      outcomes: Type.Array(OutcomeSchema, { uniqueItems: true }),
      queue: QueueSchema,
      priority,
    }),
    ACTION_FAILURE: closed({
      statuses: Type.Array(Type.Union([Type.Literal('FAILED'), Type.Literal('DENIED')]), { uniqueItems: true }),
      queue: QueueSchema,
      priority,
    }),
    /** Records that the audit log has quarantined, by its reasons. Revisions from before know none: nothing opens then. */
    ANOMALY: Type.Optional(
      closed({
        reasons: Type.Array(Type.String({ pattern: '^[A-Z][A-Z0-9_]{0,63}$' }), { uniqueItems: true }),
        queue: QueueSchema,
        priority,
      }),
    ),
    MANUAL_ASSERTION: closed({ queue: QueueSchema, priority }),
  }),
  queues: Type.Record(QueueSchema, closed({ title: Type.String({ minLength: 1, maxLength: 200 }) })),
  /** What a person may find, and what the label store is told then; null: nothing. */
  dispositions: Type.Record(
    DispositionSchema,
    closed({
      label: Type.Union([closed({ label_type: LabelTypeSchema, label_value: LabelValueSchema }), Type.Null()]),
    }),
  ),
  /** What makes cases alike: fields of the payment by the kind of thing that they name, and how much a thing of each kind says. */
  similar: closed({
    /** Of the decision whose reasons count. */
    scope: ScopeSchema,
    fields: Type.Array(closed({ field: Type.String({ pattern: '^[a-z][a-z0-9_]{0,63}$' }), kind: MarkKindSchema }), {
      maxItems: 32,
    }),
    weights: closed(
      Object.fromEntries(MARK_KINDS.map((kind) => [kind, Type.Integer({ minimum: 1, maximum: 1_000 })])) as Record<
        (typeof MARK_KINDS)[number],
        TInteger
      >,
    ),
  }),
  /** Which objects may be evidence and be read through the workbench; what the engine knows of the truth is none of it. */
  evidence: closed({
    prefixes: Type.Array(Type.String({ pattern: '^[a-z0-9_=-]+/([a-z0-9_=-]+/)*$' }), { uniqueItems: true }),
    bytes_max: Type.Integer({ minimum: 1, maximum: 67_108_864 }),
  }),
  /** What a person may ask the actions layer for; whether it is done, the policy al.actions says. */
  actions: Type.Record(
    ActionNameSchema,
    closed({
      title: Type.String({ minLength: 1, maxLength: 200 }),
      action_domain: PlannedActionSchema.properties.action_domain,
      action_type: PlannedActionSchema.properties.action_type,
      /** Of the decision that the case is about. */
      scope: ScopeSchema,
      /** The verdict that the effector is told; without one that of the decision. */
      outcome: Type.Optional(OutcomeSchema),
    }),
  ),
  /** As which writer of the policy labels.store labels are sent. */
  label_namespace: Type.String({ pattern: '^[a-z][a-z0-9._-]{0,63}$' }),
});
export type CasesPolicy = Sealed<typeof CasesPolicySchema>;

export const CASES_POLICY: PolicyKind<typeof CasesPolicySchema> = {
  policy_id: 'cases.workbench',
  schema: CasesPolicySchema,
  check: ({ triggers, queues, dispositions }: CasesPolicy): readonly PolicyFault[] => [
    ...typeFaults(dispositions),
    ...Object.entries(triggers).flatMap(([name, { queue }]) =>
      queues[queue] === undefined
        ? [{ pointer: `/triggers/${name}/queue`, sentence: `no queue is called ${queue}` }]
        : [],
    ),
  ],
};

/** A finding takes the place of the one before it, which is of the same type. */
function typeFaults(dispositions: CasesPolicy['dispositions']): readonly PolicyFault[] {
  const types = new Set(Object.values(dispositions).flatMap(({ label }) => (label === null ? [] : [label.label_type])));
  if (types.size <= 1) return [];
  return [{ pointer: '/dispositions', sentence: `labels of one type alone, not of ${[...types].join(' and ')}` }];
}
