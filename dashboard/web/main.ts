import './language-guard.ts'
import './app.ts'
