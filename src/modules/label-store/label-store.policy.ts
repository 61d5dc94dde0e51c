import { type Static, Type } from '@sinclair/typebox';
import {
  type LABEL_SOURCES,
  LabelSourceSchema,
  LabelTypeSchema,
  LabelValueSchema,
  NamespaceSchema,
} from '../../rails/events/label.schema.js';
import { closed, type Sealed } from '../../rails/schema.js';
import type { PolicyFault, PolicyKind } from '../../substrate/policy/policy.port.js';
import { SecretRefSchema } from '../../substrate/secrets/secrets.port.js';
import { LabelMappingSchema } from './mapping.core.js';

/** Which labels of a world are published. */
export const FeedSchema = closed({
  /**
   * all: every row of the truth product. fraud_and_corrections: rows that say fraud, and rows that take back an earlier one of the same
   * event; what is never labelled counts as no fraud all the same.
   */
  publish: Type.Union([Type.Literal('all'), Type.Literal('fraud_and_corrections')]),
  batch_labels_max: Type.Integer({ minimum: 1, maximum: 2_000 }),
});

export const FEED_POLICY: PolicyKind<typeof FeedSchema> = { policy_id: 'labels.feed', schema: FeedSchema };

/** The namespace of the labels of sealed worlds; nobody else writes in it. */
export const WORLD = 'world';

const RuleName = Type.String({ pattern: '^[a-z][a-z0-9_]{0,63}$' });
const Principal = Type.String({ minLength: 1, maxLength: 200 });

const WriterSchema = closed({
  /** Whose handles these are: the system that the labels come from. */
  namespace: NamespaceSchema,
  /** `HUMAN::operator`, `SYSTEM::cases`: those who may write under it. */
  principals: Type.Array(Principal, { minItems: 1, uniqueItems: true }),
  source_type: LabelSourceSchema,
  label_types: Type.Array(LabelTypeSchema, { minItems: 1, uniqueItems: true }),
  target_kinds: Type.Array(Type.Union([Type.Literal('EVENT'), Type.Literal('ENTITY'), Type.Literal('FLOW')]), {
    minItems: 1,
    uniqueItems: true,
  }),
  /** Whether it may name the person for whom it writes: a unit that has authenticated people itself. */
  may_act_for_people: Type.Optional(Type.Boolean()),
  /** Whose labels it may take back or correct. */
  may_supersede: Type.Union([Type.Literal('own'), Type.Literal('any')]),
});

const ExternalFeedSchema = closed({
  /** Part of the address: /v1/labels/feeds/<feed_id>. */
  feed_id: Type.String({ pattern: '^[a-z][a-z0-9-]{0,63}$' }),
  /** One of the writers': what it may write stands there. The sender is `SYSTEM::feed.<feed_id>`. */
  namespace: NamespaceSchema,
  run_equivalence_key: Type.String({ minLength: 1, maxLength: 200 }),
  /** Messages are signed with it (Standard Webhooks, v1). */
  secret: SecretRefSchema,
  /** How far the sender's clock may be off. */
  tolerance_s: Type.Integer({ minimum: 1, maximum: 3_600 }),
  mapping: LabelMappingSchema,
});

export const StoreSchema = closed({
  /** The types of labels, and what each may say. */
  vocabulary: Type.Record(LabelTypeSchema, Type.Array(LabelValueSchema, { minItems: 1, uniqueItems: true })),
  writers: Type.Array(WriterSchema),
  /** Producers at the edges whose transaction ids a label may name in place of an event id. */
  transaction_producers: Type.Array(Type.String({ pattern: '^[a-z][a-z0-9._-]{0,99}$' }), { uniqueItems: true }),
  feeds: Type.Array(ExternalFeedSchema),
  resolution: closed({
    default_rule: RuleName,
    /** What holds where several labels stand for one effective time. */
    rules: Type.Array(
      closed({
        rule_id: RuleName,
        /** Sources in their order: the first that spoke decides. Sources that are not listed come last, together. */
        precedence: Type.Array(LabelSourceSchema, { uniqueItems: true }),
        /** And among those that are left: nothing is settled, or the last word counts. */
        then: Type.Union([Type.Literal('conflict'), Type.Literal('latest_observed')]),
      }),
      { minItems: 1 },
    ),
  }),
});
export type StorePolicy = Sealed<typeof StoreSchema>;
export type Writer = StorePolicy['writers'][number];
export type ResolutionRule = StorePolicy['resolution']['rules'][number];
export type ExternalFeed = Static<typeof ExternalFeedSchema>;

export const STORE_POLICY: PolicyKind<typeof StoreSchema> = {
  policy_id: 'labels.store',
  schema: StoreSchema,
  check: (body: StorePolicy): readonly PolicyFault[] => [
    ...writerFaults(body),
    ...feedFaults(body),
    ...ruleFaults(body),
  ],
};

/** As whom an external feed writes: its signature is what it was authenticated by. */
export const feedActor = (feedId: string): string => `feed.${feedId}`;

function writerFaults({ writers, vocabulary }: StorePolicy): readonly PolicyFault[] {
  const seen = new Set<string>();
  return writers.flatMap(({ namespace, principals, label_types, source_type, may_act_for_people }, index) => {
    const at = `/writers/${index}`;
    const faults: PolicyFault[] = [];
    if (namespace === WORLD)
      faults.push({ pointer: `${at}/namespace`, sentence: 'is that of the labels of sealed worlds' });
    if (seen.has(namespace)) faults.push({ pointer: `${at}/namespace`, sentence: 'stands here twice' });
    seen.add(namespace);
    for (const type of label_types)
      if (vocabulary[type] === undefined)
        faults.push({ pointer: `${at}/label_types`, sentence: `${type} is no type of the vocabulary` });
    for (const principal of principals)
      if (source_type === 'HUMAN' && !principal.startsWith('HUMAN::') && may_act_for_people !== true)
        faults.push({ pointer: `${at}/principals`, sentence: `${principal} is no person, and the source is HUMAN` });
    return faults;
  });
}

function feedFaults({ feeds, writers }: StorePolicy): readonly PolicyFault[] {
  const seen = new Set<string>();
  return feeds.flatMap(({ feed_id, namespace }, index) => {
    const at = `/feeds/${index}`;
    const faults: PolicyFault[] = [];
    if (seen.has(feed_id)) faults.push({ pointer: `${at}/feed_id`, sentence: 'stands here twice' });
    seen.add(feed_id);
    const writer = writers.find((each) => each.namespace === namespace);
    if (!(writer?.principals.includes(`SYSTEM::${feedActor(feed_id)}`) ?? false))
      faults.push({
        pointer: `${at}/namespace`,
        sentence: `no writer of this namespace lists the principal SYSTEM::${feedActor(feed_id)}`,
      });
    return faults;
  });
}

function ruleFaults({ resolution: { default_rule, rules } }: StorePolicy): readonly PolicyFault[] {
  const ids = rules.map(({ rule_id }) => rule_id);
  const twice = ids.filter((id, index) => ids.indexOf(id) !== index);
  return [
    ...(ids.includes(default_rule)
      ? []
      : [{ pointer: '/resolution/default_rule', sentence: `no rule is called ${default_rule}` }]),
    ...twice.map((id) => ({ pointer: '/resolution/rules', sentence: `${id} stands here twice` })),
  ];
}

/** Sources from the first to the last that a rule asks. */
export function rankOf({ precedence }: ResolutionRule): (source: (typeof LABEL_SOURCES)[number]) => number {
  return (source) => {
    const rank = precedence.indexOf(source);
    return rank === -1 ? precedence.length : rank;
  };
}
