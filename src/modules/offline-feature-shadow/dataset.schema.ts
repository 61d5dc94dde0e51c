import { type TLiteral, type TUnion, Type } from '@sinclair/typebox';
import { ActorSchema } from '../../rails/actor.js';
import { BasisSchema } from '../../rails/basis.js';
import { DigestSchema } from '../../rails/digest.js';
import { OffsetSchema } from '../../rails/eb-ref.js';
import { EventIdSchema } from '../../rails/envelope.schema.js';
import { LabelTypeSchema, LabelValueSchema } from '../../rails/events/label.schema.js';
import { GateReceiptSchema } from '../../rails/gate.js';
import { RunIdSchema, RunPinsSchema } from '../../rails/pins.js';
import { PolicyRevSchema } from '../../rails/policy-rev.js';
import { RefSchema } from '../../rails/ref.js';
import { closed, safeInteger, type Sealed } from '../../rails/schema.js';
import { UtcMicrosSchema } from '../../rails/time.js';

/** Raised with every change of what a row or a file of a dataset is: an old dataset is then never taken for a new one. */
export const DATASET_FORMAT = 1;
/** What the receipt of a dataset is about. */
export const DATASET_GATE = 'ofs.dataset';

const literals = <const Name extends string>(names: readonly Name[]): TUnion<TLiteral<Name>[]> =>
  Type.Union<TLiteral<Name>[]>(names.map((name) => Type.Literal(name)));

export const KINDS = ['dataset_build', 'parity_rebuild'] as const;
export const BUILD_STATES = [
  'QUEUED',
  'PINNING',
  'RUNNING',
  'PUBLISH_PENDING',
  'DONE',
  'FAILED',
  'UNCHECKABLE',
  'CANCELLED',
] as const;
export type BuildState = (typeof BUILD_STATES)[number];
export const SOURCES = ['bus', 'archive', 'auto'] as const;
export const SPLITS = ['train', 'validation', 'test'] as const;
export const LABEL_STATES = ['LABEL', 'MATURED', 'IMMATURE', 'UNKNOWN', 'CONFLICT'] as const;
export type LabelState = (typeof LABEL_STATES)[number];

const PARTITION = '^(0|[1-9][0-9]{0,9})$';
/** Topic, then partition, to an offset. */
const OffsetsSchema = Type.Record(
  Type.String({ pattern: '^[a-zA-Z0-9][a-zA-Z0-9._-]{0,248}$' }),
  Type.Record(Type.String({ pattern: PARTITION }), OffsetSchema, { additionalProperties: false }),
  { additionalProperties: false },
);

/** Offsets bound a replay; a time only chooses them, once, when the build is asked for. */
export const BasisSelectorSchema = Type.Union([
  closed({ at: Type.Literal('head') }, { description: 'everything that stands on the bus now' }),
  closed(
    { appended_until_utc: UtcMicrosSchema },
    { description: 'what stood on the bus at that time, by the clock of the bus' },
  ),
  closed({
    end: OffsetsSchema,
    start: Type.Optional(OffsetsSchema),
  }),
]);
export type BasisSelector = Sealed<typeof BasisSelectorSchema>;

const TimeRangeSchema = closed({
  from_utc: Type.Optional(UtcMicrosSchema),
  to_utc: Type.Optional(UtcMicrosSchema),
});

export const LabelSpecSchema = closed({
  label_type: LabelTypeSchema,
  as_of_utc: UtcMicrosSchema,
  rule_id: Type.Optional(Type.String({ maxLength: 64 })),
  /** So many days without a label before as_of, and a payment counts as legitimate. Left out: it stays unknown. */
  maturity_days: Type.Optional(Type.Integer({ minimum: 0, maximum: 3_650 })),
  /** Millionths of the rows that have a label or are mature; fewer refuse the dataset. */
  coverage_min_ppm: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000_000 })),
});

export const SamplingSchema = closed({
  /** Every payment that was fraud is kept, and one of so many others. */
  others_one_in: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
  seed: Type.String({ minLength: 1, maxLength: 64, pattern: '^[!-~]+$' }),
});

export const SplitSchema = closed({
  name: literals(SPLITS),
  /** Inclusive. */
  from_utc: UtcMicrosSchema,
  /** Exclusive. */
  to_utc: UtcMicrosSchema,
});

const GroupName = Type.String({ pattern: '^[a-z][a-z0-9_-]{0,63}$' });

/** What somebody asks for. */
export const BuildIntentSchema = closed({
  request_id: Type.String({ minLength: 1, maxLength: 128, pattern: '^[!-~]+$' }),
  kind: literals(KINDS),
  run_id: RunIdSchema,
  basis: BasisSelectorSchema,
  /** From where the log is read. By itself: from the archive what the bus no longer has. */
  source: Type.Optional(literals(SOURCES)),
  label: Type.Optional(LabelSpecSchema),
  /** By name; all that are about payments unless given. */
  feature_groups: Type.Optional(Type.Array(GroupName, { minItems: 1, maxItems: 64, uniqueItems: true })),
  rows: Type.Optional(TimeRangeSchema),
  /** `decision`: as served, at the basis of each decision. `event`: strictly before the event. By itself: as served where the run has decisions. */
  anchor: Type.Optional(literals(['decision', 'event', 'auto'])),
  sampling: Type.Optional(SamplingSchema),
  splits: Type.Optional(Type.Array(SplitSchema, { minItems: 1, maxItems: 3 })),
});
export type BuildIntent = Sealed<typeof BuildIntentSchema>;

/** The intent with everything settled that has a meaning: its digest is the id of the plan. */
export const BuildPlanSchema = closed({
  kind: literals(KINDS),
  pins: RunPinsSchema,
  facts_view_digest: DigestSchema,
  /** From where; left out is 0. */
  replay_start: OffsetsSchema,
  replay_basis: BasisSchema,
  source: literals(SOURCES),
  label: Type.Union([LabelSpecSchema, Type.Null()]),
  definitions: PolicyRevSchema,
  feature_groups: Type.Array(GroupName),
  rows: TimeRangeSchema,
  anchor: literals(['decision', 'event', 'auto']),
  sampling: Type.Union([SamplingSchema, Type.Null()]),
  splits: Type.Array(SplitSchema),
  code_release: closed({
    version: Type.String({ maxLength: 64 }),
    dataset_format: safeInteger(1, 'of rows and files'),
  }),
});
export type BuildPlan = Sealed<typeof BuildPlanSchema>;

const Counts = Type.Record(Type.String({ pattern: '^[A-Za-z][A-Za-z0-9_:.]{0,99}$' }), safeInteger(0, 'how many'));

export const MismatchSchema = closed({
  decision_id: DigestSchema,
  event_id: EventIdSchema,
  /** What differs: `source_event`, `groups`, `input_basis`, a feature by its name, or `values` where nobody can say which. */
  fields: Type.Array(Type.String({ maxLength: 120 })),
  served_hash: DigestSchema,
  rebuilt_hash: Type.Union([DigestSchema, Type.Null()]),
});

export const ParitySchema = closed(
  {
    outcome: literals(['MATCH', 'MISMATCH', 'UNCHECKABLE', 'NO_DECISIONS']),
    decisions: safeInteger(0, 'decisions of the run within the basis'),
    match: safeInteger(0, 'rebuilt to the hash that was served'),
    mismatch: safeInteger(0, 'rebuilt to another one'),
    uncheckable: Counts,
    /** Decisions to which no features were served, by what became of them: their rows have none, either. */
    not_served: Counts,
    first_mismatches: Type.Array(MismatchSchema, { maxItems: 10 }),
  },
  { description: 'Whether what is rebuilt is what was served (law R12).' },
);
export type Parity = Sealed<typeof ParitySchema>;
export type Mismatch = Sealed<typeof MismatchSchema>;

/** What was read of one partition, or of a part of it: together all of it, from the start to the basis. */
export const RangeSchema = closed({
  topic: Type.String(),
  partition: safeInteger(0, 'partition'),
  start: OffsetSchema,
  end: OffsetSchema,
  source: literals(['bus', 'archive']),
  /** Of the archive: how many chunks, each of which was compared with its digest, and the link that names them all. */
  archive: Type.Optional(closed({ chunks: safeInteger(1, 'chunks'), chain: DigestSchema })),
  records_read: safeInteger(0, 'of all runs'),
  records_of_run: safeInteger(0, 'that the replay takes'),
  /** Of what the replay takes of the whole partition. */
  digest: DigestSchema,
});
export type Range = Sealed<typeof RangeSchema>;

const ColumnSchema = closed({
  name: Type.String(),
  type: Type.String(),
  nullable: Type.Boolean(),
  /** Of a feature. */
  group: Type.Optional(Type.String()),
  group_version: Type.Optional(safeInteger(1, 'version')),
  /** The value is a whole number, times 10^scale. */
  scale: Type.Optional(Type.Integer({ minimum: 0, maximum: 9 })),
});
export type Column = Sealed<typeof ColumnSchema>;

const MaterialisationSchema = closed({
  ref: RefSchema,
  rows: safeInteger(0, 'rows'),
  columns: Type.Array(ColumnSchema),
});

/** What the labels of a dataset stand on. */
export const LabelUseSchema = closed({
  ...LabelSpecSchema.properties,
  rule_id: Type.String(),
  policy_rev: PolicyRevSchema,
  ledger_seq: safeInteger(0, 'the last number of the ledger that was looked at'),
  slice_id: DigestSchema,
  slice_rows: RefSchema,
  by_state: Counts,
  by_value: Type.Record(LabelValueSchema, safeInteger(1, 'rows')),
});

/** What a finished build came to; with the plan it is the manifest. */
export const BuiltSchema = closed({
  anchor: literals(['decision', 'event']),
  ranges: Type.Array(RangeSchema),
  label: Type.Union([LabelUseSchema, Type.Null()]),
  parity: ParitySchema,
  /** Rows that were built, kept, and left out, by reason. */
  rows_seen: safeInteger(0, 'payments in the range of time'),
  rows_kept: safeInteger(0, 'rows of the dataset'),
  dropped: Counts,
  by_split: Counts,
  by_features_status: Counts,
  materialisations: Type.Array(MaterialisationSchema),
});
export type Built = Sealed<typeof BuiltSchema>;

export const DatasetManifestSchema = closed(
  {
    dataset_manifest_id: DigestSchema,
    /** Of everything else in the manifest. */
    dataset_fingerprint: DigestSchema,
    plan: BuildPlanSchema,
    /** `decision`: at the basis of each decision. `event`: of events strictly before it in (ts_utc, event_id), within the basis. */
    join: closed({ key: Type.Literal('event_id'), order: Type.Literal('ts_utc, event_id') }),
    built: BuiltSchema,
  },
  { description: 'What a dataset is and what it came from. Once it stands, the dataset exists, and it never changes.' },
);
export type DatasetManifest = Sealed<typeof DatasetManifestSchema>;

export const DatasetReadingSchema = closed({
  manifest: DatasetManifestSchema,
  manifest_ref: RefSchema,
  receipt: GateReceiptSchema,
});
export type DatasetReading = Sealed<typeof DatasetReadingSchema>;

const BuildDetailSchema = closed({
  code: Type.Optional(Type.String({ maxLength: 100 })),
  says: Type.Optional(Type.String({ maxLength: 2_000 })),
  parity: Type.Optional(ParitySchema),
  manifest: Type.Optional(RefSchema),
});
export type BuildDetail = Sealed<typeof BuildDetailSchema>;

export const BuildStatusSchema = closed({
  dataset_manifest_id: DigestSchema,
  kind: literals(KINDS),
  run_id: RunIdSchema,
  state: literals(BUILD_STATES),
  detail: BuildDetailSchema,
  requested_at_utc: UtcMicrosSchema,
  requested_by: ActorSchema,
  changed_at_utc: UtcMicrosSchema,
  plan: BuildPlanSchema,
});
export type BuildStatus = Sealed<typeof BuildStatusSchema>;

export const BuildAnswerSchema = closed({
  outcome: literals(['ACCEPTED', 'DUPLICATE', 'ALREADY_PUBLISHED']),
  build: BuildStatusSchema,
});
export type BuildAnswer = Sealed<typeof BuildAnswerSchema>;
