/** The cells of a record, or a sentence that says why there are none. */
export type CsvRecord = readonly string[] | string;

export interface CsvForm {
  readonly delimiter: string;
  readonly quote: string;
}

/** A record with a quote in it is given up at this length: one that is never closed must not gather the rest of a file in memory. */
export const RECORD_CHARACTERS_MAX = 1024 * 1024;

const RETURN = 13;

/**
 * Reads comma-separated values (RFC 4180; a property test holds it against csv-parse) from pieces that may end anywhere.
 *
 * A line without a quote is cut at its delimiters; only a line with one is walked through. A record that is broken costs itself alone:
 * reading goes on at the line after the one on which it began. A parser that goes on where the quotes happen to close again
 * loses the rows between, up to the end of the file. Empty lines are no records.
 */
export class CsvReader {
  #rest = '';
  /** Characters of `#rest` that were seen to hold no end of a record, so that they are not searched again and again. */
  #seen = 0;

  constructor(private readonly form: CsvForm) {}

  /** Takes the next piece; with `end` the last record needs no line end. */
  read(piece: string, end: boolean, take: (record: CsvRecord) => void): void {
    const text = this.#rest === '' ? piece : this.#rest + piece;
    const hasQuotes = text.includes(this.form.quote);
    let at = 0;
    while (at < text.length) {
      const newline = text.indexOf('\n', at === 0 ? this.#seen : at);
      this.#seen = 0;
      if (newline < 0 && !end) {
        this.#seen = text.length - at;
        break;
      }
      const stop = newline < 0 ? text.length : newline;
      const lineEnd = stop > at && text.charCodeAt(stop - 1) === RETURN ? stop - 1 : stop;
      if (lineEnd === at) {
        at = stop + 1;
        continue;
      }
      const line = text.slice(at, lineEnd);
      if (!hasQuotes || !line.includes(this.form.quote)) {
        take(line.split(this.form.delimiter));
        at = stop + 1;
        continue;
      }
      const walked = this.#walk(text, at, end);
      if (walked === null) {
        if (text.length - at <= RECORD_CHARACTERS_MAX) break;
        take('a quote is not closed');
        at = stop + 1;
      } else if (typeof walked === 'string') {
        take(walked);
        at = stop + 1;
      } else {
        take(walked.cells);
        at = walked.next;
      }
    }
    this.#rest = at >= text.length ? '' : text.slice(at);
  }

  /** A record with quotes; null when it may go on in the next piece; a sentence when it is broken. */
  #walk(
    text: string,
    start: number,
    end: boolean,
  ): { readonly cells: string[]; readonly next: number } | string | null {
    const { delimiter, quote } = this.form;
    const cells: string[] = [];
    let at = start;
    for (;;) {
      let cell: string;
      if (text[at] === quote) {
        const closed = this.#quoted(text, at + 1);
        if (closed === null) return end ? 'a quote is not closed' : null;
        ({ cell, at } = closed);
        // The last character of the piece: a second quote behind it would have meant a quote within the cell.
        if (at === text.length && !end) return null;
      } else {
        const [comma, newline] = [text.indexOf(delimiter, at), text.indexOf('\n', at)];
        const stop = Math.min(comma < 0 ? text.length : comma, newline < 0 ? text.length : newline);
        if (stop === text.length && !end) return null;
        cell = text.slice(at, stop);
        if (stop !== comma && cell.endsWith('\r')) cell = cell.slice(0, -1);
        if (cell.includes(quote)) return 'a quote stands within a cell that is not quoted';
        at = stop;
      }
      cells.push(cell);
      if (at >= text.length) return { cells, next: at };
      if (text[at] === delimiter) {
        at += 1;
        continue;
      }
      if (text[at] === '\r') {
        if (at + 1 === text.length) return end ? { cells, next: at + 1 } : null;
        at += 1;
      }
      return text[at] === '\n' ? { cells, next: at + 1 } : 'something stands between a closing quote and the delimiter';
    }
  }

  #quoted(text: string, from: number): { readonly cell: string; readonly at: number } | null {
    const { quote } = this.form;
    let cell = '';
    for (let at = from; ;) {
      const close = text.indexOf(quote, at);
      if (close < 0) return null;
      cell += text.slice(at, close);
      if (text[close + 1] !== quote) return { cell, at: close + 1 };
      cell += quote;
      at = close + 2;
    }
  }
}
