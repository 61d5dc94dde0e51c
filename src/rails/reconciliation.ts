/** What the parts of the door say of one run, each of itself. */
export interface Accounts {
  /** Of a sealed world; a live run has none. */
  readonly world?: { readonly rowsRead: number; readonly rowsSealed: number; readonly rowsRejected: number };
  /** The last pass of the stream; absent where nothing of the run was ever streamed. */
  readonly stream?: {
    readonly state: string;
    readonly sent: number;
    readonly admitted: number;
    readonly duplicate: number;
    readonly quarantined: number;
  };
  readonly gate: {
    readonly admitted: number;
    readonly onBus: number;
    /** By kind: `missing_on_bus`, `not_in_ledger` … */
    readonly offending: Readonly<Record<string, readonly string[]>>;
    /** Whether the gate itself found both sets equal. */
    readonly reconciled: boolean;
  };
  /** Quarantined events of the run that somebody released or corrected since. */
  readonly released: number;
  /** What followed from the run's traffic; absent where it is not asked for. */
  readonly path?: DecisionPath;
  /** What became known of it; absent where no label store was asked. */
  readonly labels?: LabelAccounts;
}

/** Labels of a run, counted where they came in and where they stand. */
export interface LabelAccounts {
  /** Rows of the sealed output of labels, as the facts of the run say; null where the world has none. */
  readonly sealedRows: number | null;
  /** Of the feed of those rows. */
  readonly state: string;
  readonly sealed: {
    readonly read: number;
    readonly entered: number;
    /** null: they were not counted. */
    readonly passedOver: number | null;
    readonly inLedger: number;
  } | null;
  /** Of writers, by namespace. */
  readonly written: readonly {
    readonly namespace: string;
    readonly submitted: number;
    readonly accepted: number;
    readonly duplicate: number;
    readonly rejected: number;
    readonly in_ledger: number;
  }[];
  readonly offending: Readonly<Record<string, Offending>>;
}

export interface Offending {
  readonly count: number;
  /** The first of them. */
  readonly ids: readonly string[];
}

/** Each link counted at both its ends; `offending` by kind, as the gate names it. */
export interface DecisionPath {
  readonly decided: number;
  readonly decisions: number;
  readonly planned: number;
  readonly intents: number;
  readonly outcomes: number;
  readonly offending: Readonly<Record<string, Offending>>;
  /** All records of the run on the bus, and its leaves in the audit log; absent where no audit log was asked. */
  readonly logged?: Logged;
}

export interface Logged {
  readonly records: number;
  readonly leaves: number;
  /** Kinds of leaves of which there are not as many as records: one lost and another doubled must not cancel out. */
  readonly differing: Readonly<Record<string, { readonly records: number; readonly leaves: number }>>;
}

const LEAF_KINDS: Readonly<Record<string, string>> = {
  decision: 'decision',
  action_intent: 'intent',
  action_outcome: 'outcome',
};

export type Counts = Readonly<Record<string, number>>;

export const total = (counts: Counts): number => Object.values(counts).reduce((sum, count) => sum + count, 0);

/** Records by event type beside leaves by their kind, as gate and audit log count them. */
export function loggedOf(byType: Readonly<Record<string, { readonly on_bus: number }>>, leavesByKind: Counts): Logged {
  const records: Record<string, number> = {};
  for (const [type, { on_bus: count }] of Object.entries(byType)) {
    const kind = LEAF_KINDS[type] ?? 'event';
    records[kind] = (records[kind] ?? 0) + count;
  }
  const kinds = Object.keys({ ...records, ...leavesByKind }).sort();
  const differing = kinds.flatMap((kind) => {
    const both = { records: records[kind] ?? 0, leaves: leavesByKind[kind] ?? 0 };
    return both.records === both.leaves ? [] : [[kind, both] as const];
  });
  return { records: total(records), leaves: total(leavesByKind), differing: Object.fromEntries(differing) };
}

/** As the gate tells it of a run; `undecided` by event type, decided types or not. */
export interface CustodyTold {
  readonly decisions: number;
  readonly actions_planned: number;
  readonly intents: number;
  readonly outcomes: number;
  readonly undecided: Readonly<Record<string, Offending>>;
  readonly decided_without_event: Offending;
  readonly planned_without_intent: Offending;
  readonly intents_unplanned: Offending;
  readonly intents_open: Offending;
  readonly outcomes_orphaned: Offending;
}

/** The decision path as the gate found it, for the event types that are to be decided: those that nobody decides lack nothing. */
export function pathOf(custody: CustodyTold, triggerTypes: readonly string[]): DecisionPath {
  const { decisions, actions_planned: planned, intents, outcomes, undecided: byType, ...others } = custody;
  const lacking = triggerTypes.flatMap((type) => byType[type] ?? []);
  const undecided = {
    count: lacking.reduce((sum, { count }) => sum + count, 0),
    ids: lacking.flatMap(({ ids }) => ids),
  };
  const decided = decisions + undecided.count - custody.decided_without_event.count;
  return { decided, decisions, planned, intents, outcomes, offending: { undecided, ...others } };
}

/** Whether something of the path is still to come: each waits for what comes behind it. */
export function waits({ offending }: DecisionPath): boolean {
  return ['undecided', 'planned_without_intent', 'intents_open'].some((kind) => (offending[kind]?.count ?? 0) > 0);
}

export type EquationName =
  | 'rows_read = rows_sealed + rows_rejected'
  | 'rows_sealed = sent'
  | 'sent = admitted + duplicate + quarantined'
  | 'rows_sealed - quarantined = records_on_bus'
  | 'admitted = records_on_bus'
  | 'ledger and bus hold the same events'
  | 'the stream is COMPLETED'
  | 'events to decide = decisions'
  | 'actions planned = intents'
  | 'intents = outcomes'
  | 'records of the run = leaves of the audit log'
  | 'labels sealed = entered + passed over'
  | 'labels submitted = accepted + duplicate + rejected'
  | 'labels accepted = labels of the ledger';

export interface Equation {
  readonly equation: EquationName;
  readonly holds: boolean;
  /** Both sides in figures, or what is the matter. */
  readonly figures: string;
}

/**
 * The arithmetic of the door: each row is counted where it enters and where it leaves, and nothing may be lost or doubled
 * between two counts. A run that somebody pushes into has no rows and no stream: for it the last two equations alone.
 */
export function equationsOf(accounts: Accounts): readonly Equation[] {
  return [
    ...worldEquations(accounts),
    ...gateEquations(accounts),
    ...pathEquations(accounts),
    ...labelEquations(accounts),
  ];
}

/** No equation is no proof. */
export function allHold(equations: readonly Equation[]): boolean {
  return equations.length > 0 && equations.every(({ holds }) => holds);
}

/** What holds as soon as a world is sealed, whether it is streamed or not. */
export function sealingEquation(world: NonNullable<Accounts['world']>): Equation {
  const { rowsRead, rowsSealed, rowsRejected } = world;
  return {
    equation: 'rows_read = rows_sealed + rows_rejected',
    holds: rowsRead === rowsSealed + rowsRejected,
    figures: `${rowsRead} = ${rowsSealed} + ${rowsRejected}`,
  };
}

function worldEquations({ world, stream, gate, released }: Accounts): readonly Equation[] {
  if (world === undefined) return [];
  const { rowsSealed } = world;
  if (stream === undefined) {
    return [
      sealingEquation(world),
      { equation: 'the stream is COMPLETED', holds: false, figures: 'nothing of this run was ever streamed' },
    ];
  }
  const { state, sent, admitted, duplicate, quarantined } = stream;
  const arrived = rowsSealed - quarantined;
  // A released event is admitted after the pass that counted it as quarantined, so it may stand on the bus beyond that count.
  const arrivedMost = Math.min(rowsSealed, arrived + released);
  return [
    sealingEquation(world),
    { equation: 'the stream is COMPLETED', holds: state === 'COMPLETED', figures: state },
    { equation: 'rows_sealed = sent', holds: rowsSealed === sent, figures: `${rowsSealed} = ${sent}` },
    {
      equation: 'sent = admitted + duplicate + quarantined',
      holds: sent === admitted + duplicate + quarantined,
      figures: `${sent} = ${admitted} + ${duplicate} + ${quarantined}`,
    },
    {
      equation: 'rows_sealed - quarantined = records_on_bus',
      holds: gate.onBus >= arrived && gate.onBus <= arrivedMost,
      figures: `${rowsSealed} - ${quarantined}${released === 0 ? '' : ` (${released} released since)`} = ${gate.onBus}`,
    },
  ];
}

export function pathEquations({ path }: Pick<Accounts, 'path'>): readonly Equation[] {
  if (path === undefined) return [];
  const { decided, decisions, planned, intents, outcomes, offending, logged } = path;
  const link = (equation: EquationName, left: number, right: number, ...kinds: readonly string[]): Equation => {
    const found = kinds.flatMap((kind) => {
      const count = offending[kind]?.count ?? 0;
      return count === 0 ? [] : [`${kind}: ${count}`];
    });
    return {
      equation,
      holds: left === right && found.length === 0,
      figures: [`${left} = ${right}`, ...found].join(', '),
    };
  };
  return [
    link('events to decide = decisions', decided, decisions, 'undecided', 'decided_without_event'),
    link('actions planned = intents', planned, intents, 'planned_without_intent', 'intents_unplanned'),
    link('intents = outcomes', intents, outcomes, 'intents_open', 'outcomes_orphaned'),
    ...(logged === undefined ? [] : [loggedEquation(logged)]),
  ];
}

/** As the label store tells it of a run. */
export interface LabelsTold {
  readonly state: string;
  readonly sealed: {
    readonly read: number;
    readonly entered: number;
    readonly passed_over: number | null;
    readonly in_ledger: number;
  } | null;
  readonly written: LabelAccounts['written'];
  readonly offending: LabelAccounts['offending'];
}

/** @param sealedRows rows of the sealed output of labels, as the facts of the run say; null where the world has none */
export function labelAccountsOf(
  sealedRows: number | null,
  { state, sealed, written, offending }: LabelsTold,
): LabelAccounts {
  if (sealed === null) return { sealedRows, state, sealed, written, offending };
  const { read, entered, passed_over: passedOver, in_ledger: inLedger } = sealed;
  return { sealedRows, state, sealed: { read, entered, passedOver, inLedger }, written, offending };
}

/** Whether labels of the world are still on their way. */
export function labelsWait({ state }: Pick<LabelAccounts, 'state'>): boolean {
  return state === 'WAITING' || state === 'PUBLISHING' || state === 'UNKNOWN';
}

/** A run of which nothing is known yet, and whose world knows nothing, has none of these. */
function labelEquations({ labels }: Pick<Accounts, 'labels'>): readonly Equation[] {
  if (labels === undefined) return [];
  const { sealedRows, state, sealed, written, offending } = labels;
  const equations: Equation[] = [];
  const lost = (kind: string): readonly string[] => {
    const count = offending[kind]?.count ?? 0;
    return count === 0 ? [] : [`${kind}: ${count}`];
  };
  if (sealedRows !== null || sealed !== null) {
    const { read, entered, passedOver } = sealed ?? { read: 0, entered: 0, passedOver: 0 };
    const right = passedOver === null ? read : entered + passedOver;
    equations.push({
      equation: 'labels sealed = entered + passed over',
      holds: state === 'DONE' && sealedRows === right,
      figures: [
        `${sealedRows ?? 0} = ${passedOver === null ? `${read} read` : `${entered} + ${passedOver}`}`,
        ...(state === 'DONE' ? [] : [`the feed is ${state}`]),
        ...lost('sealed_labels_not_in_ledger'),
      ].join(', '),
    });
  }
  if (written.length > 0) {
    const wrong = written.filter((of) => of.submitted !== of.accepted + of.duplicate + of.rejected);
    const sum = (of: 'submitted' | 'accepted' | 'duplicate' | 'rejected') =>
      written.reduce((all, each) => all + each[of], 0);
    equations.push({
      equation: 'labels submitted = accepted + duplicate + rejected',
      holds: wrong.length === 0,
      figures: [
        `${sum('submitted')} = ${sum('accepted')} + ${sum('duplicate')} + ${sum('rejected')}`,
        ...wrong.map((of) => `${of.namespace}: ${of.submitted} = ${of.accepted} + ${of.duplicate} + ${of.rejected}`),
      ].join(', '),
    });
  }
  const kept = [
    ...(sealed === null ? [] : [{ namespace: 'world', accepted: sealed.entered, in_ledger: sealed.inLedger }]),
    ...written,
  ];
  if (kept.length > 0) {
    const wrong = kept.filter(({ accepted, in_ledger }) => accepted !== in_ledger);
    equations.push({
      equation: 'labels accepted = labels of the ledger',
      holds: wrong.length === 0,
      figures: [
        `${kept.reduce((all, of) => all + of.accepted, 0)} = ${kept.reduce((all, of) => all + of.in_ledger, 0)}`,
        ...wrong.map((of) => `${of.namespace}: ${of.accepted} = ${of.in_ledger}`),
        ...lost('labels_accepted_not_in_ledger'),
      ].join(', '),
    });
  }
  return equations;
}

function loggedEquation({ records, leaves, differing }: Logged): Equation {
  const kinds = Object.entries(differing);
  return {
    equation: 'records of the run = leaves of the audit log',
    holds: records === leaves && kinds.length === 0,
    figures: [`${records} = ${leaves}`, ...kinds.map(([kind, of]) => `${kind}: ${of.records} = ${of.leaves}`)].join(
      ', ',
    ),
  };
}

function gateEquations({ gate }: Accounts): readonly Equation[] {
  const offending = Object.entries(gate.offending).filter(([, ids]) => ids.length > 0);
  return [
    {
      equation: 'admitted = records_on_bus',
      holds: gate.admitted === gate.onBus,
      figures: `${gate.admitted} = ${gate.onBus}`,
    },
    {
      equation: 'ledger and bus hold the same events',
      holds: gate.reconciled && offending.length === 0,
      figures:
        offending.length === 0
          ? gate.reconciled
            ? 'no offending id'
            : 'the gate says that they do not'
          : offending.map(([kind, ids]) => `${kind}: ${ids.length}`).join(', '),
    },
  ];
}
