import { digestText } from '../../../rails/digest.js';
import type { FieldSource } from './mapping.schema.js';
import { formOf, RowFault } from './row-fault.core.js';

/** The cells of one row in the order of the bound columns; undefined where the source has no value. */
export type Cells = readonly (string | undefined)[];

/** A field's value; undefined when the row has none. */
export type FieldReader = (cells: Cells) => string | number | undefined | RowFault;

/** @param indexOf the place of a column among the cells; −1 when the source does not have it */
export function fieldReader(name: string, source: FieldSource, indexOf: (column: string) => number): FieldReader {
  const read = textReader(name, source, indexOf);
  if (!name.endsWith('_e6')) return read;
  return (cells) => {
    const text = read(cells);
    return typeof text === 'string' ? microDegrees(name, text) : text;
  };
}

function textReader(
  name: string,
  source: FieldSource,
  indexOf: (column: string) => number,
): (cells: Cells) => string | undefined | RowFault {
  if (typeof source === 'string') {
    const index = indexOf(source);
    return (cells) => {
      const text = cells[index];
      return text === '' ? undefined : text;
    };
  }
  if ('constant' in source) return () => source.constant;
  const { column, values, otherwise = 'reject', hash, prefix = '' } = source;
  const index = indexOf(column);
  const known = values === undefined ? undefined : new Map(Object.entries(values));
  return (cells) => {
    let text = cells[index];
    if (text === undefined || text === '') return undefined;
    if (known !== undefined) {
      const meant = known.get(text);
      if (meant === undefined) {
        if (otherwise === 'absent') return undefined;
        return new RowFault('VALUE_INVALID', `${name}: ${formOf(text)} is none of the values that the mapping lists`);
      }
      text = meant;
    }
    if (hash === 'sha256') text = digestText(text);
    return prefix + text;
  };
}

const DEGREES = /^(-?)([0-9]{1,3})(?:[.]([0-9]+))?$/;

/** Decimal degrees as millionths, by their digits: what lies beyond the sixth decimal (11 cm) is rounded half away from zero. */
function microDegrees(name: string, text: string): number | RowFault {
  const match = DEGREES.exec(text);
  if (match === null) return new RowFault('VALUE_INVALID', `${name}: ${formOf(text)} is not a number of degrees`);
  const [, sign = '', whole = '', fraction = ''] = match;
  const micro = Number(`${whole}${fraction.slice(0, 6).padEnd(6, '0')}`) + (Number(fraction[6] ?? '0') >= 5 ? 1 : 0);
  // Adding 0 turns −0 into 0.
  return (sign === '-' ? -micro : micro) + 0;
}
