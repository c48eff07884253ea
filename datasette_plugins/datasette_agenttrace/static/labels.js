// Names for the controls that Datasette 0.65 leaves unlabelled, and tables that scroll by keyboard.
for (const field of document.querySelectorAll("form.filters select, form.filters input:not([type=submit]), form.sql textarea, form.sql input[type=text]")) {
  if (!field.labels?.length && !field.ariaLabel) field.ariaLabel = (field.name || "field").replace(/^_+/, "").replace(/_/g, " ");
}
for (const wrapper of document.querySelectorAll(".table-wrapper")) {
  wrapper.tabIndex = 0;
  wrapper.role = "region";
  wrapper.ariaLabel = "Rows";
}
