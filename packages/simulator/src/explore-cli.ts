import './cli/explore.ts'
