import type { JsonObject, JsonValue } from '../../../rails/canonical-json.js';
import { ProbityError } from '../../../rails/errors/probity-error.js';
import { TransactionSchema } from '../../../rails/events/transaction.schema.js';
import { validatorOf } from '../../../rails/validator.js';
import type { UnsealedRow, UnsealedTruth } from '../world-source.js';
import { amountReader, isCurrency } from './amounts.core.js';
import { type Cells, type FieldReader, fieldReader } from './field-readers.core.js';
import { durationSeconds, labelFieldsOf, mover } from './labels.core.js';
import type { OffsetsOf } from './local-times.core.js';
import { columnOf, columnsOf, type FieldSource, type Mapping } from './mapping.schema.js';
import { formOf, RowFault } from './row-fault.core.js';
import { timeReader } from './times.core.js';

/** A row of traffic with its number in the source, and its label where it has one. */
export type MappedRow = UnsealedRow & { readonly row: number };

/** Maps the rows of one source; `row` is the row's number there. */
export type Mapper = (row: number, cells: Cells) => MappedRow | RowFault;

const KEY_CHARACTERS_MAX = 200;
const KIND_CHARACTERS_MAX = 64;
const LONE_SURROGATE = /\p{Surrogate}/u;
const PAYERS = ['card_id', 'account_id', 'customer_id'];

const payloads = validatorOf(TransactionSchema, 'the payload');

/**
 * What a mapping must be beyond its schema: so that a mapping which could not map a single row is refused before the
 * file is read. @throws ProbityError ENGINE_MAPPING_INVALID that names the place
 */
export function checkMapping(mapping: Mapping): void {
  const { format, amount, fields = {} } = mapping;
  const csvOnly = (['delimiter', 'quote', 'header', 'columns'] as const).filter((name) => mapping[name] !== undefined);
  if (format !== 'csv' && csvOnly.length > 0)
    throw fault(`/${csvOnly.join(', /')}`, `belongs to csv, and the format is ${format}`);
  if ((mapping.header === false) !== (mapping.columns !== undefined)) {
    throw fault('/columns', 'names the columns of a csv without header (header: false), and only of one');
  }
  if (mapping.columns !== undefined) {
    const missing = columnsOf(mapping).find((column) => mapping.columns?.includes(column) === false);
    if (missing !== undefined) throw fault('/columns', `lacks ${JSON.stringify(missing)}, which the mapping reads`);
  }
  if ((amount.currency === undefined) === (amount.currency_column === undefined)) {
    throw fault('/amount', 'needs either currency or currency_column');
  }
  if (amount.currency !== undefined && !isCurrency(amount.currency)) {
    throw fault('/amount/currency', `${amount.currency} is no currency of ISO 4217 with a minor unit`);
  }
  if ((amount.decimal ?? '.') === amount.grouping) throw fault('/amount/grouping', 'is the decimal mark, too');
  if (!PAYERS.some((name) => fields[name] !== undefined)) throw fault('/fields', `needs one of ${PAYERS.join(', ')}`);
  for (const [name, source] of Object.entries(fields)) checkTexts(name, source);
  checkLabel(mapping);
}

/** What a label says may stand in no field: a transaction must not know what is known only later. */
function checkLabel({ key, time, amount, fields = {}, label }: Mapping): void {
  if (label === undefined) return;
  const hidden = [label.column, ...(label.kind_column === undefined ? [] : [label.kind_column])];
  const read: [string, string | undefined][] = [
    ['/key', key],
    ['/time/column', time.column],
    ['/amount/column', amount.column],
    ['/amount/currency_column', amount.currency_column],
    ...Object.entries(fields).map(([name, source]): [string, string | undefined] => [
      `/fields/${name}`,
      columnOf(source),
    ]),
  ];
  for (const [at, column] of read) {
    if (column !== undefined && hidden.includes(column)) {
      throw fault(at, `reads ${JSON.stringify(column)}, a column of the label: a transaction must not know its label`);
    }
  }
}

/** Constants and listed values are known now: one that no transaction may have is found here, not in every row. */
function checkTexts(name: string, source: FieldSource): void {
  if (typeof source === 'string') return;
  const texts =
    'constant' in source ? [source.constant] : source.hash === undefined ? Object.values(source.values ?? {}) : [];
  const prefix = 'constant' in source ? '' : (source.prefix ?? '');
  for (const text of texts) {
    const value = fieldReader(name, { constant: prefix + text }, () => -1)([]);
    const says =
      value instanceof RowFault
        ? value.detail
        : payloads.check({ transaction_id: 't', amount_minor: 0, currency: 'EUR', customer_id: 'c', [name]: value });
    if (typeof says === 'string') throw fault(`/fields/${name}`, says);
    if (!says.ok) throw fault(`/fields/${name}`, `${JSON.stringify(text)} ${says.fault.says}`);
  }
}

/**
 * The mapper of a source with these columns. Columns that the source does not have are missing in every row: ask
 * `missingColumns` first where that should be an error.
 */
export function mapperOf(mapping: Mapping, columns: readonly string[], localToUtc: OffsetsOf): Mapper {
  const places = new Map(columns.map((column, index) => [column, index]));
  const indexOf = (column: string): number => places.get(column) ?? -1;
  const [keyAt, timeAt, amountAt] = [mapping.key, mapping.time.column, mapping.amount.column].map(indexOf);
  const time = timeReader(mapping.time.format, localToUtc);
  const amount = amountOf(mapping.amount, indexOf);
  const members = membersOf(mapping, indexOf);
  const label = labelOf(mapping.label, indexOf);
  if (keyAt === undefined || timeAt === undefined || amountAt === undefined) throw new RangeError('three places');

  return (row, cells) => {
    const key = cells[keyAt];
    if (key === undefined || key === '') return new RowFault('KEY_MISSING', `the key column ${mapping.key} is empty`);
    if (key.length > KEY_CHARACTERS_MAX)
      return new RowFault('VALUE_INVALID', `the key is longer than ${KEY_CHARACTERS_MAX}`);
    if (LONE_SURROGATE.test(key)) return new RowFault('VALUE_INVALID', 'the key has half of a surrogate pair');
    const timeText = cells[timeAt];
    if (timeText === undefined) return missing('time', mapping.time.column);
    const ts = time(timeText);
    if (ts instanceof RowFault) return ts;
    const amountText = cells[amountAt];
    if (amountText === undefined) return missing('amount', mapping.amount.column);
    const paid = amount(cells, amountText);
    if (paid instanceof RowFault) return paid;

    const payload: Record<string, JsonValue> = {};
    for (const [name, read] of members) {
      const value =
        name === 'amount_minor'
          ? paid.minor
          : name === 'currency'
            ? paid.currency
            : (read?.(cells) ?? (name === 'transaction_id' ? key : undefined));
      if (value instanceof RowFault) return value;
      if (value !== undefined) payload[name] = value;
    }
    const mapped = { key, ts_utc: ts, payload: payload as JsonObject, row };
    const known = label?.(cells, mapped);
    if (known === undefined) return mapped;
    return known instanceof RowFault ? known : { key, ts_utc: ts, payload: payload, row, label: known };
  };
}

/** Columns that the mapping reads and the source does not have. */
export function missingColumns(mapping: Mapping, columns: readonly string[]): readonly string[] {
  return columnsOf(mapping).filter((column) => !columns.includes(column));
}

function amountOf(
  { currency, currency_column, unit = 'major', decimal = '.', grouping, floating = false }: Mapping['amount'],
  indexOf: (column: string) => number,
): (cells: Cells, text: string) => { readonly minor: number; readonly currency: string } | RowFault {
  const read = amountReader({ unit, decimal, grouping, floating });
  const currencyAt = currency_column === undefined ? -1 : indexOf(currency_column);
  return (cells, text) => {
    const code = currency ?? cells[currencyAt];
    if (code === undefined) return missing('currency', currency_column ?? '');
    if (currency === undefined && !isCurrency(code)) {
      return new RowFault('CURRENCY_UNKNOWN', `the currency ${formOf(code)} is no code of ISO 4217 with a minor unit`);
    }
    const minor = read(text, code);
    return minor instanceof RowFault ? minor : { minor, currency: code };
  };
}

/** The payload's members in canonical order, so that its text needs no sorting. */
function membersOf(
  { fields = {} }: Mapping,
  indexOf: (column: string) => number,
): readonly (readonly [string, FieldReader | undefined])[] {
  const names = [...new Set([...Object.keys(fields), 'amount_minor', 'currency', 'transaction_id'])].sort();
  return names.map((name) => {
    const source = fields[name];
    return [name, source === undefined ? undefined : fieldReader(name, source, indexOf)] as const;
  });
}

function labelOf(
  label: Mapping['label'],
  indexOf: (column: string) => number,
): ((cells: Cells, traffic: UnsealedRow) => UnsealedTruth | undefined | RowFault) | undefined {
  if (label === undefined) return undefined;
  const at = indexOf(label.column);
  const kindAt = label.kind_column === undefined ? -1 : indexOf(label.kind_column);
  const fraud = new Set(label.fraud_values);
  const kinds = label.kind_values === undefined ? undefined : new Map(Object.entries(label.kind_values));
  const move = mover(durationSeconds(label.delay ?? 'PT0S'));
  return (cells, { key, ts_utc, payload }) => {
    const text = cells[at];
    if (text === undefined || text === '') return undefined;
    const isFraud = fraud.has(text);
    const kindText = isFraud ? cells[kindAt] : undefined;
    const kind =
      kindText === undefined || kindText === '' ? undefined : kinds === undefined ? kindText : kinds.get(kindText);
    if (kind !== undefined && (kind.length > KIND_CHARACTERS_MAX || LONE_SURROGATE.test(kind))) {
      return new RowFault(
        'VALUE_INVALID',
        `the kind of fraud ${formOf(kind)} is no text of at most ${KIND_CHARACTERS_MAX}`,
      );
    }
    return {
      key,
      ts_utc: move(ts_utc),
      fields: labelFieldsOf(idOf(payload), ts_utc, isFraud, kind),
    };
  };
}

function missing(what: string, column: string): RowFault {
  return new RowFault(
    'COLUMN_MISSING',
    `the row has no ${what}: there is no column ${JSON.stringify(column.slice(0, 100))}`,
  );
}

function fault(at: string, says: string): ProbityError {
  return new ProbityError('ENGINE_MAPPING_INVALID', `the mapping at ${at} ${says}`, { data: { at } });
}

/** The schema has seen to it that it is a text. */
function idOf(payload: JsonObject): string {
  const id = payload['transaction_id'];
  return typeof id === 'string' ? id : '';
}
