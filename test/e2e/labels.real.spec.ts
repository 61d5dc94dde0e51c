import { labelsSuite } from './labels.cases.js';

labelsSuite('real', ['sr', 'ig', 'edge', 'labels', 'ofp']);
