import { type Static, Type } from '@sinclair/typebox';
import type { JsonObject } from '../../../rails/canonical-json.js';
import { ProbityError } from '../../../rails/errors/probity-error.js';
import { TransactionSchema } from '../../../rails/events/transaction.schema.js';
import { closed } from '../../../rails/schema.js';
import { validatorOf } from '../../../rails/validator.js';

const Column = (description: string) => Type.String({ minLength: 0, maxLength: 256, description });
const Character = (description: string) => Type.String({ minLength: 1, maxLength: 1, description });

/** Where a field's text comes from: a column, or one text for all rows. */
export const FieldSourceSchema = Type.Union([
  Column('a column, its text taken as it is; an empty text is an absent field'),
  closed({ constant: Type.String({ minLength: 1, maxLength: 128 }) }),
  closed({
    column: Column('the column'),
    values: Type.Optional(
      Type.Record(Type.String({ maxLength: 256 }), Type.String({ minLength: 1, maxLength: 128 }), {
        description: 'what each text of the column becomes',
      }),
    ),
    otherwise: Type.Optional(
      Type.Union([Type.Literal('reject'), Type.Literal('absent')], {
        description: 'what a text becomes that `values` does not list; reject unless stated',
      }),
    ),
    hash: Type.Optional(
      Type.Literal('sha256', {
        description: 'the text is replaced by its sha-256, for what must not be stored as it is',
      }),
    ),
    prefix: Type.Optional(
      Type.String({ minLength: 1, maxLength: 32, description: 'put before the text, or its hash' }),
    ),
  }),
]);
export type FieldSource = Static<typeof FieldSourceSchema>;

/** Fields of a transaction that a mapping fills; amount and currency have a part of their own, `source` is the sealing's. */
export const FIELD_NAMES: readonly string[] = Object.keys(TransactionSchema.properties).filter(
  (name) => !['amount_minor', 'currency', 'source'].includes(name),
);

export const MappingSchema = closed(
  {
    format: Type.Union([Type.Literal('csv'), Type.Literal('ndjson'), Type.Literal('parquet')], {
      description: 'csv and ndjson may be packed with gzip, which is noticed',
    }),
    delimiter: Type.Optional(Character('csv: between two cells; a comma unless stated')),
    quote: Type.Optional(Character('csv: around a cell that holds delimiters; a double quote unless stated')),
    header: Type.Optional(
      Type.Boolean({ description: 'csv: whether the first row names the columns; true unless stated' }),
    ),
    columns: Type.Optional(
      Type.Array(Column('name'), {
        minItems: 1,
        maxItems: 4_096,
        description: 'csv without header: the columns in order',
      }),
    ),
    key: Column("the column whose text is the row's key, and the transaction's id unless `fields` says otherwise"),
    time: closed({
      column: Column('the column'),
      format: Type.String({
        minLength: 1,
        maxLength: 64,
        description:
          'iso, epoch_s, epoch_ms, or a pattern of yyyy M MM MMM d dd H HH h hh a m mm s ss S… Z and literal text (letters in single quotes)',
      }),
      zone: Type.Optional(
        Type.String({
          minLength: 1,
          maxLength: 64,
          description: 'IANA name of the zone of times that carry no offset of their own; UTC unless stated',
        }),
      ),
      ambiguous: Type.Optional(
        Type.Union([Type.Literal('earlier'), Type.Literal('later'), Type.Literal('reject')], {
          description: 'which moment a local time means that an autumn night has twice; the earlier unless stated',
        }),
      ),
    }),
    amount: closed({
      column: Column('the column'),
      currency: Type.Optional(Type.String({ pattern: '^[A-Z]{3}$', description: 'ISO 4217 code of all rows' })),
      currency_column: Type.Optional(Column('the column of the ISO 4217 code')),
      unit: Type.Optional(
        Type.Union([Type.Literal('major'), Type.Literal('minor')], {
          description: 'major: 12.30 of EUR; minor: 1230. Major unless stated',
        }),
      ),
      decimal: Type.Optional(Character('between whole and decimals; a point unless stated')),
      grouping: Type.Optional(Character('between groups of three digits; none unless stated')),
      floating: Type.Optional(
        Type.Boolean({
          description:
            'the texts are printed floating-point numbers: digits behind the minor unit are dropped where they are noise (57.160000000000004); false unless stated',
        }),
      ),
    }),
    fields: Type.Optional(
      Type.Partial(Type.Object(Object.fromEntries(FIELD_NAMES.map((name) => [name, FieldSourceSchema]))), {
        additionalProperties: false,
        description: 'fields of the transaction, each from a column or a constant',
      }),
    ),
    label: Type.Optional(
      closed({
        column: Column('the column; a row in which it is empty has no label'),
        fraud_values: Type.Array(Type.String({ maxLength: 256 }), {
          minItems: 1,
          maxItems: 100,
          description: 'the texts that mean fraud; every other text means none',
        }),
        delay: Type.Optional(
          Type.String({
            pattern: '^P(?:[0-9]{1,5}W|(?:[0-9]{1,6}D)?(?:T(?:[0-9]{1,6}H)?(?:[0-9]{1,6}M)?(?:[0-9]{1,6}S)?)?)$',
            description:
              'how long after the transaction the label becomes known, as ISO 8601: P7D, PT12H; at once unless stated',
          }),
        ),
        kind_column: Type.Optional(Column('the column that says which kind of fraud it was')),
        kind_values: Type.Optional(
          Type.Record(Type.String({ maxLength: 256 }), Type.String({ minLength: 1, maxLength: 64 }), {
            description: 'what each text of it becomes; others stand for no kind',
          }),
        ),
      }),
    ),
    rejected_share_max: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: 1,
        description: 'the share of rejected rows above which the world fails its gate; 0 unless stated',
      }),
    ),
  },
  { description: "How a user's own file becomes transactions and labels: the parameters of an import." },
);
export type Mapping = Omit<Static<typeof MappingSchema>, 'fields'> & {
  readonly fields?: Readonly<Record<string, FieldSource>>;
};

const mappings = validatorOf(MappingSchema, 'the mapping');

/** @throws ProbityError ENGINE_MAPPING_INVALID that names the place */
export function asMapping(parameters: JsonObject): Mapping {
  const verdict = mappings.check(parameters);
  if (!verdict.ok) {
    const { at, says } = verdict.fault;
    throw new ProbityError('ENGINE_MAPPING_INVALID', `the mapping ${at === '' ? '' : `at ${at} `}${says}`, {
      data: { at },
    });
  }
  return verdict.value as Mapping;
}

/** All columns that the mapping reads, each once. */
export function columnsOf(mapping: Mapping): readonly string[] {
  const { key, time, amount, fields = {}, label } = mapping;
  const columns = [key, time.column, amount.column, amount.currency_column, label?.column, label?.kind_column];
  for (const source of Object.values(fields)) columns.push(columnOf(source));
  return [...new Set(columns.filter((column) => column !== undefined))];
}

export function columnOf(source: FieldSource): string | undefined {
  if (typeof source === 'string') return source;
  return 'column' in source ? source.column : undefined;
}
